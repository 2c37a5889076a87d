"""Classify the images of folders into a table of results."""
