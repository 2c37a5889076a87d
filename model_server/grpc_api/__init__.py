"""TensorFlow Serving's gRPC services: order of checks, requests to tensors and answers back."""
