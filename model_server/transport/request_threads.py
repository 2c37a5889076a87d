"""Answer complete requests in threads, each kind of request in a limited number of its own.

At most ``threads`` POST requests are handled at once; the others wait. Costly ones have few threads
of their own, so that they leave the others to requests that are answered soon. So have other
methods, so that a busy server still says what it serves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Final

from model_server.transport.connection import Connection
from model_server.transport.http_messages import Request, Response
from model_server.transport.request_reader import Arrival
from model_server.transport.requests_in_progress import RequestsInProgress
from model_server.transport.worker_pool import WorkerPool

Handler = Callable[[Request], Response]
CostCheck = Callable[[Request], bool]

#: Threads for requests that run no model.
SHORT_THREADS: Final = 2
#: One thread for costly requests for so many threads for others.
_THREADS_PER_COSTLY: Final = 4
#: Requests with larger bodies let smaller ones go first.
LARGE_BYTES: Final = 1 << 14
#: A waiting request with a large body counts as if it had arrived so much later.
_LARGE_DELAY_S: Final = 2.0
#: A thread stays with a connection for this long after a response if it has nothing else to do.
_LINGER_S: Final = 0.02

Job = tuple[Connection, Arrival, "WorkerPool[Job]"]


class RequestThreads:
    """The threads that call the handler and send its responses."""

    def __init__(
        self,
        handler: Handler,
        *,
        threads: int,
        is_costly: CostCheck,
        progress: RequestsInProgress,
        wake: Callable[[], None],
    ) -> None:
        """``wake`` is called after a connection has been added to ``returned``."""
        self._handler = handler
        self._is_costly = is_costly
        self._progress = progress
        self._wake = wake
        self._runs = WorkerPool[Job](threads, self._work, "http-run")
        self._costly = WorkerPool[Job](costly_threads(threads), self._work, "http-costly")
        self._short = WorkerPool[Job](SHORT_THREADS, self._work, "http")
        self.returned: deque[Connection] = deque()
        """Connections that the threads have done with."""

        self.is_draining = False
        """Whether every response closes its connection."""

    def submit(self, connection: Connection, arrival: Arrival) -> None:
        """Let a thread answer a request; raise NoThread if there is none.

        The connection belongs to the threads until it is in ``returned``, except after NoThread.
        """
        self._progress.enter(connection)
        pool = self._pool(arrival)
        pool.submit((connection, arrival, pool), _rank(arrival))

    def stop(self) -> None:
        """End the threads after the requests that wait."""
        for pool in (self._runs, self._costly, self._short):
            pool.stop()

    # Everything below may run in several threads.

    def _pool(self, arrival: Arrival) -> WorkerPool[Job]:
        request = arrival.content
        if not isinstance(request, Request) or request.method != "POST":
            return self._short
        return self._costly if self._is_costly(request) else self._runs

    def _work(self, job: Job) -> None:
        """Answer a request, and those that soon follow it; then return the connection."""
        connection, arrival, pool = job
        try:
            while self._answer(connection, arrival):
                following = self._following(connection, pool)
                if following is None:
                    break
                self._progress.enter(connection)
                arrival = following
        except BaseException:
            connection.abandon()
            raise
        finally:
            self.returned.append(connection)
            self._wake()

    def _answer(self, connection: Connection, arrival: Arrival) -> bool:
        """Answer a request; tell whether all has been sent and the connection stays open."""
        assert isinstance(arrival.content, Request)  # noqa: S101 - the loop answers the others
        response = self._handler(arrival.content)
        if self.is_draining:
            headers = (*response.headers, ("Connection", "close"))
            response = replace(response, headers=headers, closes=True)
        if not connection.respond(arrival, response):
            return False
        self._progress.leave(connection)
        return connection.finish_response()

    def _following(self, connection: Connection, pool: WorkerPool[Job]) -> Arrival | None:
        """Return the next request of a connection if it comes soon and this thread may wait."""
        end = monotonic() + _LINGER_S
        while pool.has_spare_thread and not self.is_draining:
            arrival = connection.next_arrival()
            if arrival is not None:
                if isinstance(arrival.content, Request) and self._pool(arrival) is pool:
                    return arrival
                connection.pending = arrival
                return None
            data = connection.receive() if monotonic() < end else None
            if not data:
                return None
            connection.take_anyway(data)  # the event loop refuses what comes after
        return None


def _rank(arrival: Arrival) -> float:
    """Return the order among requests that wait for a thread: by time, and by size of the body."""
    is_large = len(arrival.content.body) > LARGE_BYTES
    return monotonic() + (_LARGE_DELAY_S if is_large else 0.0)


def costly_threads(threads: int) -> int:
    """Return the number of threads for costly requests beside so many for others."""
    return max(1, threads // _THREADS_PER_COSTLY)
