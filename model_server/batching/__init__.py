"""Several requests in one run of a model."""
