"""Traces of both servers for OpenTelemetry: spans, their propagation, and the start of the SDK.

Unless the environment asks for traces, nothing of OpenTelemetry is imported.
"""
