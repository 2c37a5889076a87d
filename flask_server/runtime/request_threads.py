"""The pools of threads that answer requests, and how many requests each pool has."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from flask_server.runtime.arrival import Arrival
from flask_server.runtime.refusal import NO_THREAD
from flask_server.web.admission import InFlight

#: Maximum number of waiting requests per thread. Requests without a body are counted in their own
#: pool.
QUEUED_PER_THREAD: Final = 2
HEALTH_THREADS: Final = 2
#: Threads for requests without a body. These wait for Serving only until the first poll of a model
#: is over, and the interpreter runs one thread at a time, so more threads would only delay the main
#: thread.
GET_THREADS: Final = 2

_HEALTH: Final = (b"GET /healthz", b"GET /readyz", b"HEAD /healthz", b"HEAD /readyz")
_WITHOUT_BODY: Final = (b"GET ", b"HEAD ", b"OPTIONS ")


class RequestThreads:
    """The threads of a worker: ``main`` for predictions, and a few for all other requests.

    The main thread of the worker counts the requests of each pool in ``queued``.
    """

    def __init__(self, main: ThreadPoolExecutor, count: int) -> None:
        self.main = main
        self._count = count
        """Number of threads of the main pool."""

        self.health = started(ThreadPoolExecutor(HEALTH_THREADS, "health"))
        self._get = started(ThreadPoolExecutor(GET_THREADS, "get"))
        self.queued: Counter[Executor | None] = Counter()
        """Requests that have been given to the threads of a pool and are not finished."""

        self._few: dict[Executor | None, int] = {
            self.health: HEALTH_THREADS,
            self._get: GET_THREADS,
        }
        """The pools that have fewer threads than the main one."""

    def pool_for(self, arrival: Arrival) -> Executor:
        """Return the threads for a request that has arrived."""
        if arrival.buffer.startswith(_HEALTH):
            return self.health
        if arrival.buffer.startswith(_WITHOUT_BODY):
            return self._get
        return self.main

    def are_enough(self, pool: Executor | None) -> bool:
        """Tell whether each request of a pool has a thread."""
        return self.queued[pool] <= self._few.get(pool, self._count)

    def refusal(self, arrival: Arrival, predictions: InFlight) -> str | None:
        """Return why the main thread refuses a request, in a sentence for the client, or None.

        A request thread would take about three times the CPU time to refuse a prediction beyond the
        limit.
        """
        pool = self.pool_for(arrival)
        if pool is self.health:
            return None
        queued = self.queued[pool]
        if pool is self.main and min(queued, predictions.count) >= predictions.limit:
            return predictions.refusal
        return NO_THREAD if queued >= self._count * (1 + QUEUED_PER_THREAD) else None


def started(pool: ThreadPoolExecutor) -> ThreadPoolExecutor:
    """Return the pool with a first thread; without one, the worker cannot start."""
    pool.submit(int)
    return pool
