"""Bound request bodies, and read what is left of them before the answer goes out.

A server that answers and closes while the caller still sends resets the connection, and the caller
never sees why. So the rest of a refused body is read and thrown away, within bounds.
"""

from __future__ import annotations

import time

from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from flask_server.errors import BodyTooLarge

DRAIN_BYTES = 256 * 1024 * 1024
DRAIN_S = 10.0

_CHUNK = 64 * 1024


def init_app(app: Flask, max_body_bytes: int) -> None:
    """Refuse larger bodies on every route."""
    app.config["MAX_CONTENT_LENGTH"] = max_body_bytes
    # Flask's own bound for one form field is 500 kB; a picture in base64 is a form field.
    app.config["MAX_FORM_MEMORY_SIZE"] = max_body_bytes
    app.before_request(_bound_body)
    app.after_request(_drain_body)


def too_large(limit: int) -> BodyTooLarge:
    """Return the error for a body that turned out too large while it was read."""
    length = request.content_length
    received = f"{length} bytes" if length is not None else f"more than {limit} bytes"
    return BodyTooLarge(f"The body has {received}; at most {limit} bytes are allowed.")


def _bound_body() -> None:
    """Put a stream in place that ends where this body ends, under every WSGI server."""
    environ = request.environ
    environ["wsgi.input"] = get_input_stream(environ)
    environ["wsgi.input_terminated"] = True
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        raise RequestEntityTooLarge


def _drain_body(response: Response) -> Response:
    stream = request.environ["wsgi.input"]
    end, left = time.monotonic() + DRAIN_S, DRAIN_BYTES
    try:
        while chunk := stream.read(_CHUNK):
            left -= len(chunk)
            if left < 0 or time.monotonic() > end:
                response.headers["Connection"] = "close"
                break
    except (ClientDisconnected, OSError):
        response.headers["Connection"] = "close"
    return response
