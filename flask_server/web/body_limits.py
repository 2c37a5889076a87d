"""Limit the size of request bodies; ``web.forms`` and ``json_reader`` limit their contents.

A body over the limit raises BodyTooLarge: at once when its Content-Length says so, else at the
first byte beyond the limit. ``web.body_draining`` reads the rest of a refused body.
"""

from __future__ import annotations

from typing import IO

from flask import request
from werkzeug import exceptions
from werkzeug.wsgi import get_input_stream

from flask_server.errors import BodyTooLarge

_INPUT = "wsgi.input"
#: The text of the error for any transfer coding but chunked.
CODING_UNSUPPORTED = "The transfer coding is not supported; allowed is chunked."
_BROKEN = "The body is incomplete or malformed."


class BoundedStream:
    """A request body that raises BodyTooLarge instead of giving more than ``limit`` bytes."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._count = 0
        self._broken = False

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, or the whole rest when ``size`` is negative."""
        if size < 0:
            # Usually two reads: one of the whole body, one that finds its end.
            return b"".join(iter(lambda: self.read(self._limit + 1), b""))
        data = self._next(size)
        self._count += len(data)
        if self._count > self._limit:
            raise _too_large(f"more than {self._limit}", self._limit)
        return data

    def skip(self, size: int) -> bytes:
        """Return up to ``size`` bytes of a body that is thrown away, whatever the limit."""
        return self._next(size)

    def _next(self, size: int) -> bytes:
        if self._broken:
            raise exceptions.ClientDisconnected(_BROKEN)
        try:
            return self._stream.read(size)
        except Exception as error:  # malformed chunks: each WSGI server has an error of its own
            self._broken = True
            raise exceptions.ClientDisconnected(_BROKEN) from error


def bound_body(limit: int) -> None:
    """Replace the input stream by a limited one that ends with the body under every WSGI server."""
    environ = request.environ
    environ[_INPUT] = BoundedStream(get_input_stream(environ), limit)
    environ["wsgi.input_terminated"] = True
    if not _transfer_codings() <= {"chunked", "identity"}:
        raise exceptions.NotImplemented(CODING_UNSUPPORTED)
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(str(length), limit)


def _transfer_codings() -> set[str]:
    """Return the codings of the body; gunicorn decodes chunked, but not gzip."""
    header = request.headers.get("Transfer-Encoding", "chunked")
    return {coding.strip().lower() for coding in header.split(",")}


def _too_large(received: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has {received} bytes; at most {limit} bytes are allowed.")
