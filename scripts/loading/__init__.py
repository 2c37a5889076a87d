"""Model files: from a path to a Keras model that turns one image into one list of scores."""
