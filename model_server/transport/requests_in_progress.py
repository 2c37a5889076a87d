"""Count the requests that have been handed to a thread and whose responses are not sent."""

from __future__ import annotations

import threading

from model_server.transport.connection import Connection


class RequestsInProgress:
    """A count of requests, kept by several threads."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def enter(self, connection: Connection) -> None:
        """Count the request of a connection."""
        connection.in_progress = True
        with self._lock:
            self.count += 1

    def leave(self, connection: Connection) -> None:
        """Count the request of a connection no longer, if it was counted."""
        if connection.in_progress:
            connection.in_progress = False
            with self._lock:
                self.count -= 1
