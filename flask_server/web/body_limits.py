"""Limit the size of request bodies and the number of their form fields.

A body over the limit raises BodyTooLarge: at once when its Content-Length says so, else at the
first byte beyond the limit. ``web.body_draining`` reads the rest of a refused body.
"""

from __future__ import annotations

import io
from typing import IO

from flask import Flask, Request, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wsgi import get_input_stream

from flask_server.errors import BodyTooLarge

_INPUT = "wsgi.input"
_BROKEN = "The body stopped coming, or is malformed."


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
            raise ClientDisconnected(_BROKEN)
        try:
            return self._stream.read(size)
        except Exception as error:  # malformed chunks: each WSGI server has an error of its own
            self._broken = True
            raise ClientDisconnected(_BROKEN) from error


class BoundedForms(FormDataParser):
    """A form parser that limits the fields of a URL-encoded form like the parts of a multipart one.

    Werkzeug limits the latter only. Millions of empty fields fit into a body that has room for an
    image, and take minutes to parse.
    """

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Return stream, fields and files, or raise RequestEntityTooLarge."""
        if mimetype == "application/x-www-form-urlencoded":
            body = stream.read()
            if self.max_form_parts is not None and body.count(b"&") >= self.max_form_parts:
                raise RequestEntityTooLarge(f"The form has more than {self.max_form_parts} fields.")
            stream = io.BytesIO(body)
        return super().parse(stream, mimetype, content_length, options)


class BoundedRequest(Request):
    """A request whose forms have a limited number of fields."""

    form_data_parser_class = BoundedForms


def configure(app: Flask, max_body_bytes: int) -> None:
    """Let the app read forms with bounds of its own instead of Flask's."""
    app.request_class = BoundedRequest
    # Flask's default limit for one form field is 500 kB, too small for an image in base64.
    app.config["MAX_FORM_MEMORY_SIZE"] = max_body_bytes


def bound_body(limit: int) -> None:
    """Replace the input stream by a limited one that ends with the body under every WSGI server."""
    environ = request.environ
    environ[_INPUT] = BoundedStream(get_input_stream(environ), limit)
    environ["wsgi.input_terminated"] = True
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(str(length), limit)


def _too_large(received: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has {received} bytes; at most {limit} bytes are allowed.")
