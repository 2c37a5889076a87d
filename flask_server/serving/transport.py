"""HTTP connections to Serving, with a time limit for the whole response and a limit of its size.

The timeouts of ``urllib3`` and ``http.client`` apply to a single read. A server that sends one byte
at a time, in the headers or in the body, would be read for ever. Here the read timeout of a call
covers its whole response.
"""

from __future__ import annotations

import io
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
)
from urllib3.util.connection import create_connection

from flask_server.serving.name_lookup import look_up
from flask_server.serving.tls import TlsFiles

#: Maximum seconds to wait for a connection.
CONNECT_S = 2.0

#: Bytes read at a time.
_CHUNK = 64 * 1024

#: A head that needs no e-mail parser: every field is in one line of printable ASCII.
_PLAIN_HEAD = re.compile(
    rb"HTTP/1\.1 200 ([ -~]*)\r\n((?:[A-Za-z][A-Za-z0-9-]*: ?[!-~][ -~]*\r\n){1,99})\r\n"
)
_PLAIN_LENGTH = re.compile(r"[0-9]{1,18}")
#: Fields that decide how the body is read; the standard library knows what they mean.
_LEFT_TO_LIBRARY = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


class ResponseTooLarge(HTTPError):
    """The body of a response has more bytes than the call allows."""


class _TimedReader(io.RawIOBase):
    """Reads from a socket; the socket's timeout covers all reads together."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # The socket stays open until this file is closed, as with any other response.
        self._file = sock.makefile("rb", buffering=0)
        timeout = sock.gettimeout()
        self._end = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (writable buffer)
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the response did not end in time")
            self._sock.settimeout(left)
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True, slots=True)
class PlainHead:
    """The head of a response with the status 200 and a ``Content-Length``."""

    size: int
    """Bytes of the head, with the empty line at its end."""

    reason: str
    headers: HTTPMessage
    length: int


def plain_head(data: bytes) -> PlainHead | None:
    """Return the head at the beginning of these bytes; None if it is incomplete or unusual."""
    found = _PLAIN_HEAD.match(data)
    if found is None:
        return None
    headers = HTTPMessage()
    lengths = []
    for line in found[2].decode("ascii").splitlines():
        name, _, value = line.partition(":")
        value = value.lstrip(" ")
        headers.set_raw(name, value)
        lowered = name.lower()
        if lowered in _LEFT_TO_LIBRARY:
            return None
        if lowered == "content-length":
            lengths.append(value)
    if len(lengths) != 1 or not _PLAIN_LENGTH.fullmatch(lengths[0]):
        return None
    return PlainHead(found.end(), found[1].decode("ascii").strip(), headers, int(lengths[0]))


class _TimedResponse(HTTPResponse):
    """A response whose status line, headers and body arrive within one timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock), _CHUNK)

    def begin(self) -> None:
        """Read the head; a plain one without the standard library's e-mail parser, which is slow.

        Requests of the gateway are never HEAD, whose response has a length and no body.
        """
        # Peeking takes no bytes, so the standard library can read any other head from its start.
        plain = plain_head(self.fp.peek()) if self.headers is None else None
        if plain is None:
            super().begin()
            return
        self.fp.read(plain.size)
        self.version, self.code, self.status, self.reason = 11, 200, 200, plain.reason
        self.headers = self.msg = plain.headers
        self.chunked, self.chunk_left, self.will_close = False, None, False
        self.length = plain.length


class _Connection(HTTPConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _open(self)

    def connect(self) -> None:
        _connect(self, super().connect)


class _SecureConnection(HTTPSConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _open(self)

    def connect(self) -> None:
        _connect(self, super().connect)


def _connect(connection: HTTPConnection, connect: Callable[[], None]) -> None:
    """Limit the time for connecting to ``CONNECT_S``, and not the time for sending the body.

    urllib3 has no timeout for sending: it would apply the one for connecting to both.
    """
    start, left = time.monotonic(), connection.timeout
    connection.timeout = min(left or CONNECT_S, CONNECT_S)
    connect()
    if left is not None:
        # Not zero, which would make the socket non-blocking.
        left = max(left - (time.monotonic() - start), 0.001)
    connection.timeout = left
    connection.sock.settimeout(left)


def _open(connection: HTTPConnection) -> socket.socket:
    """Look up the host and connect to one of its addresses, all within the timeout.

    urllib3 would wait for the look-up without a limit, and for each address as long as allowed.
    """
    limit = connection.timeout
    assert isinstance(limit, float | int)  # noqa: S101 - set by _connect
    end = time.monotonic() + limit
    host, port = connection.host.strip("[]"), connection.port or connection.default_port
    try:
        return _connected(connection, look_up(host, port, limit), port, end)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection within {limit} s") from error
    except (OSError, UnicodeError) as error:
        raise NewConnectionError(connection, f"no connection: {error}") from error


def _connected(
    connection: HTTPConnection, addresses: list[str], port: int, end: float
) -> socket.socket:
    failure: OSError = OSError("the name has no address")
    for address in addresses:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            return create_connection(
                (address, port), left, socket_options=connection.socket_options
            )
        except OSError as error:
            failure = error
    raise failure


def connection_pool(root: str, connections: int, tls: TlsFiles) -> urllib3.HTTPConnectionPool:
    """Return the pool of connections to one server; further ones are closed after their call."""
    files: dict[str, Any] = {}
    if root.startswith("https:"):
        named = {"ca_certs": tls.ca, "cert_file": tls.certificate, "key_file": tls.key}
        files = {name: str(file) for name, file in named.items() if file is not None}
    pool = urllib3.connection_from_url(root, maxsize=connections, retries=False, **files)
    pool.ConnectionCls = _SecureConnection if root.startswith("https:") else _Connection
    return pool


def call_timeout(seconds: float) -> urllib3.Timeout:
    """Return the timeout of a call whose connecting, sending and response share these seconds."""
    return urllib3.Timeout(total=seconds, connect=seconds, read=seconds)


def whole_body(response: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    """Return the decompressed body, or raise ResponseTooLarge for more than ``max_bytes``."""
    parts, size = [], 0
    # Decompressed bytes are counted: urllib3 decompresses no more than a chunk at a time.
    while part := response.read1(_CHUNK):
        size += len(part)
        if size > max_bytes:
            raise ResponseTooLarge(f"more than {max_bytes} bytes")
        parts.append(part)
    return b"".join(parts)
