"""gunicorn's threaded worker, whose threads stay with their connection for a moment.

gunicorn gives a connection back to its main thread after every answer and hands it to a thread
again for the next request. A caller that asks one question after another pays for that way each
time, and so does everybody who waits for the interpreter meanwhile.

A caller holds a thread while its request arrives, so that has to go on, and at some pace.
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
from flask_server.web.request_context import EXTENSION

#: How long a thread waits for the next request; callers under load take far less.
STAY_MS: Final = 5


class StayingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that answers the requests of a busy connection in one thread."""

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 (gunicorn has no types)
        """Answer a request, and those that follow at once; return what gunicorn's method does."""
        if type(conn.sock) is socket.socket:  # new, and not TLS
            conn.sock = PacedSocket(fileno=conn.sock.detach())
            set_io_timeout(conn.sock, STALL_S)
        while True:
            if isinstance(conn.sock, PacedSocket):
                conn.sock.begin()
            # Anything but True ends the connection or defers it.
            kept = super().handle(conn)
            if not kept:
                _part(conn.sock)
            if kept is not True or not self._may_stay() or not _asks_again(conn.sock):
                return kept

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Refuse what is no HTTP request; all else is a defect, which gunicorn logs and answers."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = uuid.uuid4().hex
        # The class alone: the error itself quotes what came, which may be a key or a picture.
        self.log.warning("refused what is no HTTP request: %s (%s)", type(exc).__name__, request_id)
        origins = self.wsgi.extensions[EXTENSION].settings.cors_origins
        allowed_origin = "*" if "*" in origins else None
        with suppress(OSError):
            client.sendall(bad_request_page.response(exc, request_id, allowed_origin))

    def _may_stay(self) -> bool:
        """Tell whether every connection can have a thread, so that nobody waits for this one."""
        return bool(self.alive and self.nr_conns <= self.cfg.threads)


def _asks_again(sock: Any) -> bool:  # noqa: ANN401 (a socket, or TLS around one)
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(STAY_MS))


def _part(sock: Any) -> None:  # noqa: ANN401 (a socket, or TLS around one)
    """Wait until the caller has closed its end, too, for a moment; then gunicorn finds it done.

    gunicorn itself would wait in the thread that serves all connections of the worker.
    """
    with suppress(OSError, NotImplementedError):  # closed already, or TLS
        close_graceful(sock.dup())
        sock.shutdown(socket.SHUT_RD)
