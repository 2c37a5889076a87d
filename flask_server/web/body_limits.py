"""Bound request bodies, and read what is left of them before the answer goes out.

A server that answers and closes while the caller still sends resets the connection, and the caller
never sees why. So the rest of a refused body is read and thrown away, within bounds.
"""

from __future__ import annotations

import io
import socket
import struct
import time
from typing import IO

from flask import Flask, Request, Response, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.wsgi import get_input_stream

from flask_server.errors import BodyTooLarge

DRAIN_BYTES = 256 * 1024 * 1024
DRAIN_S = 10.0
#: How long a caller may send nothing in the middle of a body, or take nothing of an answer.
STALL_S = 10.0

_CHUNK = 64 * 1024
_INPUT = "wsgi.input"


class BoundedStream:
    """A request body that raises BodyTooLarge instead of giving more than ``limit`` bytes."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._count = 0
        self._broken = False

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes, all that is left if it is negative."""
        if size < 0:
            # Mostly one read of all there is, and one that finds the end.
            return b"".join(iter(lambda: self.read(self._limit + 1), b""))
        data = self._next(size)
        self._count += len(data)
        if self._count > self._limit:
            raise _too_large(f"more than {self._limit}", self._limit)
        return data

    def drain(self) -> bool:
        """Throw away what is left; False when it is more than the bounds allow."""
        if self._broken:
            return False
        end, left = time.monotonic() + DRAIN_S, DRAIN_BYTES
        while chunk := self._next(_CHUNK):
            left -= len(chunk)
            if left < 0 or time.monotonic() > end:
                return False
        return True

    def _next(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except Exception as error:  # malformed chunks: each WSGI server has an error of its own
            self._broken = True
            raise ClientDisconnected("The body stopped coming, or is malformed.") from error


class BoundedForms(FormDataParser):
    """Takes no more fields of an urlencoded form than parts of a multipart one.

    Millions of empty fields fit into a body that has room for a picture, and cost minutes.
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
    """A request with bounded forms."""

    form_data_parser_class = BoundedForms


def init_app(app: Flask, max_body_bytes: int) -> None:
    """Refuse larger bodies on every route."""
    app.request_class = BoundedRequest
    # Flask's own bound for one form field is 500 kB; a picture in base64 is a form field.
    app.config["MAX_FORM_MEMORY_SIZE"] = max_body_bytes
    app.before_request(lambda: _bound_body(max_body_bytes))
    app.after_request(_drain_body)


def _bound_body(limit: int) -> None:
    """Put a stream in place that ends where this body ends, under every WSGI server."""
    environ = request.environ
    environ[_INPUT] = BoundedStream(get_input_stream(environ), limit)
    environ["wsgi.input_terminated"] = True
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(str(length), limit)


def give_up_after(sock: socket.socket, seconds: float) -> None:
    """Let the system end reads and writes of the socket that stall.

    gunicorn would wait for ever, and each stalled caller would hold a thread. A timeout of Python's
    own costs one more turn of the interpreter per read and write.
    """
    timeout = struct.pack("ll", *divmod(int(seconds * 1_000_000), 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)


def _drain_body(response: Response) -> Response:
    try:
        finished = request.environ[_INPUT].drain()
    except ClientDisconnected:
        finished = False
    if not finished:
        response.headers["Connection"] = "close"
    return response


def _too_large(received: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body has {received} bytes; at most {limit} bytes are allowed.")
