"""A client's connection, from whose socket a thread reads only a request that has arrived whole."""

from __future__ import annotations

import socket
from concurrent import futures
from contextlib import suppress
from typing import Any, Final

from gunicorn.workers.gthread import TConn

from flask_server.runtime.arrival import Arrival

#: Bytes that are read from a socket before the next socket has its turn.
READ_BYTES: Final = 256 * 1024


class ArrivedSocket(socket.socket):
    """A caller's socket that never lets a thread wait.

    A thread reads only the request that has arrived. What the client does not take of the response
    at once is kept in ``unsent``, for the main thread of the worker.
    """

    _arrived: bytearray | bytes = b""
    _at = 0
    unsent: bytes = b""

    def setblocking(self, _flag: bool) -> None:
        """Leave the mode as it is: no method of this class waits in either mode."""

    def load(self, arrived: bytearray) -> None:
        """Give the bytes of the next request to the parser."""
        self._arrived, self._at = arrived, 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return bytes of the request, none after its last one, whatever length the head says."""
        with memoryview(self._arrived) as arrived:
            data = bytes(arrived[self._at : self._at + size])
        self._at += len(data)
        if self._at >= len(self._arrived):
            self._arrived, self._at = b"", 0
        return data

    def take_rest(self) -> bytes:
        """Return the bytes that the parser has not read, which begin the next request."""
        rest = bytes(self._arrived[self._at :])
        self._arrived, self._at = b"", 0
        return rest

    def receive_now(self) -> bytes | None:
        """Return the bytes that can be read now, ``b""`` at the end; None if there are none yet."""
        try:
            return super().recv(READ_BYTES, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # reset, or closed
            return b""

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401 (any buffer)
        """Send as much as the client takes now, and keep the rest."""
        self.unsent += bytes(data)
        self.send_rest()

    def send_rest(self) -> bool:
        """Send as much of the rest as the client takes now; return whether it took any."""
        taken = 0
        with suppress(BlockingIOError, InterruptedError), memoryview(self.unsent) as rest:
            while taken < len(rest):
                taken += self.send(rest[taken:], socket.MSG_DONTWAIT)
        self.unsent = self.unsent[taken:]
        return taken > 0

    def send_now(self, data: bytes) -> None:
        """Send a short response, unless the socket would block."""
        with suppress(OSError):
            self.send(data, socket.MSG_DONTWAIT)


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A caller's connection, with the request that is arriving on it."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:  # noqa: ANN401
        super().__init__(cfg, ArrivedSocket(fileno=sock.detach()), client, server)
        self.data_ready = True  # gunicorn would wait for data in the thread
        self.arrival: Arrival | None = None
        self.is_watched = False
        """Whether the poller watches the socket."""

        self.pool: futures.Executor | None = None
        """The threads that have the request."""

        self.reserved = 0
        """Bytes of the memory budget that are reserved for the request."""

        self.held_for_client = 0
        """Those of them that count in the share of requests and responses that wait for clients."""

        self.ends_at = 0.0
        """Latest time at which sending the response, or the end of the connection, is given up."""

        self.is_kept = False
        """Whether another request may follow the response that is being sent."""
