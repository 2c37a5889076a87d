"""gunicorn's threaded worker, with threads that wait briefly for the next request.

After every response gunicorn hands the connection back to its main thread, which hands it to a
thread again when the next request arrives. This costs time for a caller that sends one request
after another, and holds the interpreter lock that all other threads need.

A request holds a thread while it arrives; ``paced_socket`` limits for how long.
"""

from __future__ import annotations

import select
import socket
import uuid
from contextlib import suppress
from typing import Any, Final

from gunicorn.http.errors import ParseException
from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

from flask_server.runtime import bad_request_page
from flask_server.runtime.paced_socket import STALL_S, PacedSocket, set_io_timeout
from flask_server.web.services import services_of

#: Milliseconds that a thread waits for the next request; busy callers send theirs sooner.
STAY_MS: Final = 5


class StayingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that serves successive requests of a connection in one thread."""

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 (gunicorn has no types)
        """Serve a request and those that follow within STAY_MS.

        Returns gunicorn's value: True keeps the connection, False closes it, any other value
        defers it until data arrives.
        """
        if type(conn.sock) is socket.socket:  # new, and not TLS
            conn.sock = PacedSocket(fileno=conn.sock.detach())
            set_io_timeout(conn.sock, STALL_S)
        while True:
            if isinstance(conn.sock, PacedSocket):
                conn.sock.begin()
            kept = super().handle(conn)
            if not kept:
                _part(conn.sock)
            if kept is not True or not self._may_stay() or not _asks_again(conn.sock):
                return kept

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Respond to bytes that are not an HTTP request; leave any other error to gunicorn."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = uuid.uuid4().hex
        # Only the class: the error quotes the received bytes, which may contain a key or an image.
        self.log.warning(
            "refused bytes that are not an HTTP request: %s (%s)", type(exc).__name__, request_id
        )
        origins = services_of(self.wsgi).gateway.settings.cors_origins
        allowed_origin = "*" if "*" in origins else None
        with suppress(OSError):
            client.sendall(bad_request_page.response(exc, request_id, allowed_origin))

    def _may_stay(self) -> bool:
        """Return whether there are enough threads for all connections, so that none has to wait."""
        return bool(self.alive and self.nr_conns <= self.cfg.threads)


def _asks_again(sock: Any) -> bool:  # noqa: ANN401 (a socket, or TLS around one)
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(STAY_MS))


def _part(sock: Any) -> None:  # noqa: ANN401 (a socket, or TLS around one)
    """Wait briefly until the caller has closed its end, so that gunicorn need not wait.

    gunicorn would do so in its main thread, which serves all connections of the worker.
    """
    with suppress(OSError, NotImplementedError):  # closed already, or TLS
        close_graceful(sock.dup())
        sock.shutdown(socket.SHUT_RD)
