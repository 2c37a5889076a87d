"""TensorFlow Serving: REST client, state of the models, batching of requests."""
