"""Serve TensorFlow Serving's REST API: routes, request bodies, response bodies, status codes.

The modules know no sockets; ``transport`` does the HTTP.
"""
