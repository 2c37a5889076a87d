"""Accept connections, as many as the server may hold; used by the thread of the event loop."""

from __future__ import annotations

import errno
import selectors
import socket
from collections.abc import Callable
from time import monotonic
from typing import Final

from model_server.transport.watched_connections import WatchedConnections

#: Pause before the next accept when the process has no file descriptor left.
ACCEPT_PAUSE_S: Final = 0.1
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
#: Most connections accepted before the others are served again.
_ACCEPTS: Final = 64
#: Maximum number of connections that wait to be accepted, the same as Linux's own default
#: (net.core.somaxconn); beyond, clients try again after a second.
_BACKLOG: Final = 4096


class Listener:
    """A listening socket, which the event loop waits for while there is room for connections."""

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        connections: WatchedConnections,
        *,
        max_connections: int,
        admit: Callable[[socket.socket], None],
    ) -> None:
        self.sock = sock
        self._selector = selector
        self._connections = connections
        self._max_connections = max_connections
        self._admit = admit
        self.accepts_at: float | None = 0.0
        """When connections are accepted again; None while they are accepted."""

    def resume(self) -> None:
        """Accept connections again if the pause is over and there is room."""
        if self.accepts_at is None or monotonic() < self.accepts_at:
            return
        if len(self._connections.open) < self._max_connections or self._connections.has_droppable:
            self._selector.register(self.sock, selectors.EVENT_READ, None)
            self.accepts_at = None

    def _pause(self) -> None:
        if self.accepts_at is None:
            self._selector.unregister(self.sock)
        self.accepts_at = monotonic() + ACCEPT_PAUSE_S

    def accept(self) -> bool:
        """Accept the connections that wait; tell whether there may be more."""
        for _ in range(_ACCEPTS):
            is_full = len(self._connections.open) >= self._max_connections
            if is_full and not self._connections.has_droppable:
                self._pause()
                return False
            try:
                sock, _address = self.sock.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR and not self._connections.drop_oldest():
                    self._pause()
                    return False
                continue  # the client has gone, or a descriptor is free again
            if is_full:
                self._connections.drop_oldest()
            self._admit(sock)
        return True

    def close(self) -> None:
        """Accept what has been waiting, then stop listening; again, it does nothing."""
        if self.sock.fileno() < 0:
            return
        for _ in range(_BACKLOG // _ACCEPTS):
            if not self.accept():
                break
        self._pause()
        self.sock.close()


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; one on an IPv6 address also accepts IPv4 clients."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
