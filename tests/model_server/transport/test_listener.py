"""Accepting the connections that wait, on a real listener."""

from __future__ import annotations

import errno
import selectors
import socket
from contextlib import ExitStack

from model_server.transport.listener import Listener, listening_socket
from model_server.transport.requests_in_progress import RequestsInProgress
from model_server.transport.watched_connections import WatchedConnections


class GoneClient(socket.socket):
    """A listener whose first client closes its connection before it is accepted."""

    has_gone = False

    def accept(self) -> tuple[socket.socket, object]:
        if self.has_gone:
            return super().accept()
        self.has_gone = True
        raise OSError(errno.ECONNABORTED, "Software caused connection abort")


def test_those_who_wait_behind_a_client_that_has_gone_are_accepted_at_the_end() -> None:
    admitted: list[socket.socket] = []
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        sock = GoneClient(fileno=listening_socket("127.0.0.1", 0).detach())
        connections = WatchedConnections(selector, RequestsInProgress())
        listener = Listener(sock, selector, connections, max_connections=4, admit=admitted.append)
        for _ in range(2):
            stack.enter_context(socket.create_connection(sock.getsockname()))

        listener.close()

        assert len(admitted) == 2
        for accepted in admitted:
            accepted.close()
