"""Serve HTTP on sockets: connections, request heads, responses. Knows no models."""
