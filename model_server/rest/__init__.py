"""TensorFlow Serving's REST API: routes, request bodies, response bodies."""
