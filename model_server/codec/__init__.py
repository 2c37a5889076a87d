"""Convert between request or response bodies and tensors: JSON, numbers and base64.

The JSON dialect, the number formats and the error messages are those of TensorFlow Serving. The
modules know no models, requests or sockets.
"""
