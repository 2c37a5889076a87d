"""TensorFlow Serving's gRPC API as both servers need it: messages, tensors and status codes.

Needs numpy and protobuf, and neither grpcio nor an engine.
"""
