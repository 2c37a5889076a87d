"""Listen on a port, read HTTP requests and send the responses of a handler.

This is the only module that uses sockets. Each connection has a thread. At most ``threads``
requests are handled at once; the others wait. Whatever a client sends, other connections are not
affected. Each response is sent at once; it does not wait until the client has acknowledged the
previous one.
"""

from __future__ import annotations

import errno
import logging
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import sleep
from typing import Final

from model_server.transport.http_messages import (
    METHODS,
    BadRequest,
    Head,
    Request,
    Response,
    error_page,
    read_head,
    read_target,
    write_response,
)

Handler = Callable[[Request], Response]

#: Idle connections are closed after this time. It is long because HTTP clients pool connections.
IDLE_S: Final = 900.0
#: Pause before the next accept when the process has no file descriptor left.
_ACCEPT_PAUSE_S: Final = 0.1
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
_RECEIVE_BYTES: Final = 1 << 20
_MAX_HEAD_BYTES: Final = 1 << 20
_LINE_END: Final = re.compile(rb"\r?\n")
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
#: A chunk extension may follow the digits, after optional blanks.
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;|\Z)")
_MAX_END_BYTES: Final = 4

logger = logging.getLogger(__name__)


class HttpServer(socketserver.ThreadingTCPServer):
    """An HTTP server that calls one handler for every request."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, host: str, port: int, handler: Handler, *, threads: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._handler = handler
        self._slots = threading.BoundedSemaphore(threads)
        self._in_progress = 0
        self._is_draining = False
        self._changed = threading.Condition()
        super().__init__((host, port), _Connection)

    def server_bind(self) -> None:
        """Bind the address; an IPv6 address also accepts IPv4 clients."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection; pause if no file descriptor is left."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                sleep(_ACCEPT_PAUSE_S)
            raise

    @property
    def port(self) -> int:
        """The port that the server listens on, also if port 0 was asked for."""
        return int(self.server_address[1])

    def respond(self, request: Request) -> Response:
        """Call the handler as soon as fewer than ``threads`` requests are being handled."""
        with self._slots:
            response = self._handler(request)
        if self._is_draining:
            headers = (*response.headers, ("Connection", "close"))
            return replace(response, headers=headers, closes=True)
        return response

    @contextmanager
    def response_in_progress(self) -> Iterator[None]:
        """Make ``drain`` wait for the response that is made and sent in this context."""
        with self._changed:
            self._in_progress += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_progress -= 1
                self._changed.notify_all()

    def drain(self, grace_s: float) -> bool:
        """Stop listening and wait for open responses; False if ``grace_s`` was too short."""
        self._is_draining = True
        self.shutdown()
        self.server_close()
        with self._changed:
            return self._changed.wait_for(lambda: self._in_progress == 0, grace_s)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log the exception that ended a connection."""
        logger.debug("connection from %s ended", client_address, exc_info=True)


class _Connection(socketserver.BaseRequestHandler):
    server: HttpServer
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(IDLE_S)
        self.buffer = bytearray()  # removing bytes at its front does not copy the rest
        while self.serve_request():
            pass

    def serve_request(self) -> bool:
        """Read and answer one request; tell whether the connection stays open."""
        head = None
        try:
            head = read_head(self.read_until(_BLANK_LINE))
            request = self.read_request(head)
        except EOFError:
            return False
        except BadRequest:
            return self.send(error_page(400), None)
        if isinstance(request, Response):
            return self.send(request, head)
        with self.server.response_in_progress():
            return self.send(self.server.respond(request), head)

    def read_request(self, head: Head) -> Request | Response:
        """Return the complete request, or an error response if it is refused."""
        if head.method not in METHODS:
            return error_page(501)
        expectation = head.headers.get("expect", "").lower()
        if expectation and expectation != "100-continue":
            return error_page(417)
        path, target = read_target(head.target)
        return Request(head.method, path, target, head.headers, self.read_body(head))

    def read_body(self, head: Head) -> bytes:
        length = head.length
        if not length and not head.is_chunked:
            return b""
        if "expect" in head.headers and head.minor >= 1 and not self.buffer:
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return self.read_chunks() if head.is_chunked else self.read_exactly(length)

    def read_chunks(self) -> bytes:
        """Return a chunked body; the trailer is read and dropped."""
        pieces = []
        while True:
            size_line = _CHUNK_SIZE.match(self.read_until(_LINE_END))
            if size_line is None:
                raise BadRequest
            size = int(size_line[1], 16)
            if size == 0:
                break
            pieces.append(self.read_exactly(size))
            if self.read_until(_LINE_END):
                raise BadRequest
        while self.read_until(_LINE_END):
            pass
        return b"".join(pieces)

    def read_until(self, end: re.Pattern[bytes]) -> bytes:
        """Return the bytes before the next match of ``end``, and remove both from the buffer."""
        searched = 0
        while (match := end.search(self.buffer, max(0, searched - _MAX_END_BYTES))) is None:
            searched = len(self.buffer)
            if searched > _MAX_HEAD_BYTES:
                raise BadRequest
            self.buffer += self.receive(_RECEIVE_BYTES)
        data = bytes(self.buffer[: match.start()])
        del self.buffer[: match.end()]
        return data

    def read_exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        pieces: list[bytes | bytearray] = [self.buffer[:size]]
        del self.buffer[:size]
        missing = size - len(pieces[0])
        while missing:
            pieces.append(self.receive(min(missing, _RECEIVE_BYTES)))
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def receive(self, most: int) -> bytes:
        try:
            data = self.request.recv(most)
        except OSError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        return data

    def send(self, response: Response, head: Head | None) -> bool:
        data, stays = write_response(response, head)
        try:
            self.request.sendall(data)
        except OSError:
            return False
        return stays


def serve(server: HttpServer) -> threading.Thread:
    """Accept connections in a separate thread until the server is drained."""
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
    thread.start()
    return thread
