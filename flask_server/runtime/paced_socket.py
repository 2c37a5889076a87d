"""A socket that gives up on callers that stall or send too slowly.

A worker thread serves one caller while the request arrives, so a slow caller holds a thread. Two
rules bound that: no single read or write may stall, and the whole request must keep a minimum rate.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import Final

#: Seconds that one read may wait for data, or one write for the caller to take it.
STALL_S: Final = 10.0
#: Seconds that any request may take to arrive, however small it is.
ARRIVAL_S: Final = 20.0
#: Bytes per second that a request which takes longer must have sent on average.
MIN_BYTES_PER_S: Final = 10_000


class PacedSocket(socket.socket):
    """A caller's socket whose reads fail once the request arrives too slowly."""

    _began, _received = 0.0, 0

    def begin(self) -> None:
        """Expect a new request from now on."""
        self._began, self._received = time.monotonic(), 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return received bytes; raise BlockingIOError when they arrive too slowly."""
        data = super().recv(size, flags)
        self._received += len(data)
        if time.monotonic() - self._began > ARRIVAL_S + self._received / MIN_BYTES_PER_S:
            raise BlockingIOError(errno.EAGAIN, "the request arrives too slowly")
        return data


def set_io_timeout(sock: socket.socket, seconds: float) -> None:
    """Let the operating system end reads and writes of the socket that stall.

    gunicorn sets no timeout, so each stalled caller would hold a thread for ever. A timeout of
    Python's own sockets would cost an extra system call per read and write.
    """
    timeout = struct.pack("ll", *divmod(int(seconds * 1_000_000), 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
