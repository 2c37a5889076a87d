"""Traces of both servers for OpenTelemetry: spans, their propagation, and the start of the SDK.

Without a request for traces in the environment nothing of OpenTelemetry is imported.
"""
