"""Let few costly JSON documents be in memory at the same time, and one of them be worked on.

Reading a document and writing the response to it hold the interpreter. Several threads that do so
would not be faster than one, and each would let other requests wait. So large documents that are
not costly have a turn of their own. Small ones take less than a millisecond and do not wait.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.codec import json_cost
from model_server.errors import Unavailable
from model_server.rest.gzip_body import is_gzipped
from model_server.transport.http_messages import Request
from model_server.transport.request_threads import LARGE_BYTES

#: A larger gzipped body may become a costly document: it grows up to a thousandfold.
_SMALL_GZIP_BYTES: Final = 4096
#: The part of the budget that one document is counted with at most. So each is read at some time,
#: and the bodies of others still fit.
_MOST: Final = 0.75
_WAIT_S: Final = 10.0
_PAUSE_S: Final = 0.01


def is_costly(request: Request) -> bool:
    """Tell whether the request may hold up others while its body is read."""
    if is_gzipped(request):
        return len(request.body) > _SMALL_GZIP_BYTES
    return json_cost.is_costly(request.body)


class ReadLimit:
    """The memory that costly bodies may take, and the turns in which large bodies are read."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._costly_turn = threading.Lock()
        self._large_turn = threading.Lock()

    @contextmanager
    def reserved(self, body: bytes) -> Iterator[Turns]:
        """Count in the budget, until the block ends, the memory that reading a costly body takes.

        Waits for others to be answered; raises Unavailable if there is no room after ten seconds.
        """
        cost = json_cost.cost(body)
        end = time.monotonic() + _WAIT_S
        if cost <= json_cost.COSTLY_BYTES:
            yield Turns(self._large_turn if len(body) > LARGE_BYTES else None, end)
            return
        cost = min(cost, int(_MOST * self._budget.total))
        self._take(cost, end)
        try:
            yield Turns(self._costly_turn, end)
        finally:
            self._budget.add(-cost)

    def _take(self, cost: int, end: float) -> None:
        while not self._budget.take(cost):
            if time.monotonic() > end:
                raise Unavailable(
                    f"Reading the body takes about {cost} bytes of memory; others have left less of"
                    " what --rest_api_max_total_bytes allows for all requests. Try again."
                )
            time.sleep(_PAUSE_S)


class Turns:
    """When a body may be read, and its response be written: at once, or one body at a time."""

    def __init__(self, lock: threading.Lock | None, end: float) -> None:
        self._lock = lock
        self._end = end

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Wait for the turn; raise Unavailable if it does not come in time."""
        if self._lock is None:
            yield
            return
        if not self._lock.acquire(timeout=max(0.0, self._end - time.monotonic())):
            raise Unavailable("Other large bodies are being read; try again.")
        try:
            yield
        finally:
            self._lock.release()

    def writing(self) -> AbstractContextManager[object]:
        """Wait for the turn however long it takes: the work on the body would be lost."""
        return self._lock or nullcontext()
