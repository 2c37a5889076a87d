"""JSON and base64 to arrays and back, in the dialect of TensorFlow Serving."""
