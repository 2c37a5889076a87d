"""Read requests, refuse what cannot be served, and send what clients take late; for one thread.

An event is that bytes have arrived, that the client takes bytes, that a thread has returned the
connection, or that it is overdue.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from time import monotonic
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.transport.connection import Connection, State
from model_server.transport.http_messages import Response
from model_server.transport.limits import no_memory, no_memory_left, no_thread, too_slow
from model_server.transport.request_reader import Arrival
from model_server.transport.request_threads import RequestThreads
from model_server.transport.requests_in_progress import RequestsInProgress
from model_server.transport.watched_connections import WatchedConnections
from model_server.transport.worker_pool import NoThread

#: Seconds between two checks for overdue connections.
TICK_S: Final = 0.5
#: A request that has been arriving for longer is refused when memory is short.
_SLOW_S: Final = 5.0

logger = logging.getLogger(__name__)


class ConnectionEvents:
    """What the event loop does with connections."""

    def __init__(
        self,
        connections: WatchedConnections,
        threads: RequestThreads,
        progress: RequestsInProgress,
        *,
        max_body_bytes: int,
        budget: ByteBudget,
    ) -> None:
        self._connections = connections
        self._threads = threads
        self._progress = progress
        self._max_body_bytes = max_body_bytes
        self._budget = budget
        self._checks_at = 0.0
        """Time of the next check for overdue connections."""

    def guarded(self, work: Callable[[Connection], None], connection: Connection) -> None:
        """Serve a connection; an unexpected error ends only this one."""
        try:
            work(connection)
        except MemoryError:
            self._drop_arriving(connection)
        except Exception:
            logger.exception("Unexpected error; the connection is closed")
            self._connections.close(connection)

    def _drop_arriving(self, connection: Connection) -> None:
        """Refuse a request that there is no memory for, or close its connection."""
        try:
            if connection.state in (State.IDLE, State.ARRIVING):
                connection.forget_arrived()
                self._refuse(connection, no_memory_left())
            else:
                self._connections.close(connection)
        except MemoryError:
            self._connections.close(connection)

    def admit(self, sock: socket.socket) -> None:
        """Begin to read an accepted connection."""
        connection = Connection(sock, self._max_body_bytes, self._budget)
        self._connections.open.add(connection)
        self.guarded(lambda admitted: self._connections.watch(admitted, State.IDLE), connection)

    def serve(self, connection: Connection) -> None:
        """Read or send what is possible at once."""
        if connection.state is State.SENDING:
            if connection.send(for_s=0):
                self._finish(connection)
            return
        data = connection.receive()
        if data == b"":
            self._connections.close(connection)
        elif data is not None and connection.state is not State.CLOSING:
            self._feed(connection, data)

    def _feed(self, connection: Connection, data: bytes) -> None:
        if not connection.take(data):
            if not self._refuse_slowest(connection):
                self._refuse(connection, no_memory())
                return
            connection.take_anyway(data)
        self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Hand the next complete request of a connection to a thread, or wait for more of it."""
        arrival = connection.next_arrival()
        if arrival is None:
            state = State.ARRIVING if connection.reader.has_begun else State.IDLE
            if connection.state is not state:
                self._connections.watch(connection, state)
        elif isinstance(arrival.content, Response):
            self._refuse(connection, arrival.content, arrival)
        else:
            self._connections.release(connection)
            try:
                self._threads.submit(connection, arrival)
            except NoThread:
                self._refuse(connection, no_thread(), arrival)

    def _refuse_slowest(self, newest: Connection) -> bool:
        """Refuse the request that has been arriving for longest, if it is slow."""
        slowest = self._connections.first(State.ARRIVING)
        if slowest is None or slowest is newest or monotonic() - slowest.since < _SLOW_S:
            return False
        self._refuse(slowest, no_memory())
        return True

    def _refuse(
        self, connection: Connection, response: Response, arrival: Arrival | None = None
    ) -> None:
        """Send a response to a request that is not read further, and close the connection."""
        arrival = arrival or Arrival(None, response)
        if connection.respond(arrival, response):
            self._finish(connection)
        else:
            self._connections.watch(connection, State.SENDING)

    def _finish(self, connection: Connection) -> None:
        """Go on after a response: with the next request, or with the end of the connection."""
        self._progress.leave(connection)
        if connection.finish_response():
            self._advance(connection)
        else:
            connection.half_close()
            self._connections.watch(connection, State.CLOSING)

    def take_back(self, connection: Connection) -> None:
        """Take over a connection that a thread has returned."""
        if connection.has_output:
            connection.count_output()
            self._connections.watch(connection, State.SENDING)
        else:
            self._finish(connection)

    def drop_overdue(self) -> None:
        """Refuse requests that arrive too slowly, and close other connections that are overdue."""
        now = monotonic()
        if now < self._checks_at:
            return
        self._checks_at = now + TICK_S
        for connection in list(self._connections.overdue(now)):
            if connection.state is State.ARRIVING:
                self._refuse(connection, too_slow())
            else:
                self._connections.close(connection)
