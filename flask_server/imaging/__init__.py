"""Images: from the bytes of a file to the pixels of a model's input. No HTTP, no models."""
