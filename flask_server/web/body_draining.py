"""Read the rest of a request body before its response is sent.

A server that responds and closes while the caller still sends resets the connection, and the
caller never sees the response. So the unread rest of a body is read and thrown away, up to a number
of bytes and seconds; beyond these the connection is closed all the same.
"""

from __future__ import annotations

import time
from typing import cast

from flask import Response, request
from werkzeug.exceptions import ClientDisconnected

from flask_server.web.body_limits import BoundedStream

DRAIN_BYTES = 256 * 1024 * 1024
DRAIN_S = 10.0

_CHUNK = 64 * 1024


def drain(body: BoundedStream) -> bool:
    """Read the rest of the body; return False when it breaks off or is over the bounds."""
    end, left = time.monotonic() + DRAIN_S, DRAIN_BYTES
    try:
        while chunk := body.skip(_CHUNK):
            left -= len(chunk)
            if left < 0 or time.monotonic() > end:
                return False
    except ClientDisconnected:
        return False
    return True


def drain_body(response: Response) -> Response:
    """Drain the body of the request, whose stream ``body_limits.bound_body`` has replaced."""
    if not drain(cast(BoundedStream, request.environ["wsgi.input"])):
        response.headers["Connection"] = "close"
    return response
