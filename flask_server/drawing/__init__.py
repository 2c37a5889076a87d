"""Images for people: predictions below an image, heat maps over it."""
