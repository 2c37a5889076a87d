"""Model files: from a path to a Keras model that turns one picture into one list of scores."""
