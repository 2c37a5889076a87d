"""TensorFlow Serving: its REST client, the state of its models, batched calls."""
