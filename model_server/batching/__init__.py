"""Batching: several requests in one run of a model."""
