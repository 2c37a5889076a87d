"""Serve HTTP, ASGI and gRPC: connections, requests, responses. Knows no models."""
