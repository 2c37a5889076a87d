"""gunicorn's threaded worker, whose threads stay with their connection for a moment.

gunicorn gives a connection back to its main thread after every answer and hands it to a thread
again for the next request. A caller that asks one question after another pays for that way each
time, and so does everybody who waits for the interpreter meanwhile.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Any, Final

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import ThreadWorker

from flask_server.bodies import STALL_S, give_up_after

#: How long a thread waits for the next request; callers under load take far less.
STAY_MS: Final = 5


class StayingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that answers the requests of a busy connection in one thread."""

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 (gunicorn has no types)
        """Answer a request, and those that follow at once; return what gunicorn's method does."""
        give_up_after(conn.sock, STALL_S)
        while True:
            # Anything but True ends the connection or defers it.
            kept = super().handle(conn)
            if not kept:
                _part(conn.sock)
            if kept is not True or not self._may_stay() or not _asks_again(conn.sock):
                return kept

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
