"""Images for people: predictions below an image, heatmaps over it."""
