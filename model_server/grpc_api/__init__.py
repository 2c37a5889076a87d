"""TensorFlow Serving's gRPC services: check requests, run them, and write the responses."""
