"""Pictures for people: labels below a picture, heat maps over it."""
