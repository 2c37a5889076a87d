"""Classify the pictures of folders into a table of results."""
