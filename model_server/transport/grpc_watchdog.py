"""End gRPC calls whose message arrives, or whose response is read, too slowly.

gRPC keeps a message in its own memory until it is complete, and a thread waits for it. A message
that arrives slowly is cancelled when threads are short (after SLOW_S) or memory is short (after
SLOW_IN_NEED_S).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from model_server.byte_budget import ByteBudget

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.1
_IDLE_S: Final = 1.0
#: A message that has been arriving for longer is cancelled when threads are short.
SLOW_S: Final = 5.0
#: The same when memory is short.
SLOW_IN_NEED_S: Final = 0.5
#: The time to read a response, as over REST.
ANSWER_S: Final = 20.0
ANSWER_BYTES_PER_S: Final = 10_000
_STATM: Final = Path("/proc/self/statm")

Cancel = Callable[[], object]


class _Call:
    def __init__(self, cancel: Cancel, ends_at: float) -> None:
        self.cancel = cancel
        self.since = monotonic()
        self.ends_at = ends_at


class Watchdog:
    """Watches messages that arrive and responses that are sent, in a thread."""

    def __init__(self, threads: int, budget: ByteBudget) -> None:
        self._threads = threads
        self._budget = budget
        self._arriving: dict[_Call, None] = {}
        self._answered: dict[_Call, None] = {}
        self._stopped = threading.Event()
        self._resident_before = 0

    def start(self) -> None:
        """Start watching."""
        threading.Thread(target=self._watch, name="grpc-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    @contextmanager
    def arriving(self, cancel: Cancel) -> Iterator[None]:
        """Watch a message that arrives during the block."""
        call = _Call(cancel, float("inf"))
        self._arriving[call] = None
        try:
            yield
        finally:
            del self._arriving[call]

    def expect_end(
        self, cancel: Cancel, when_over: Callable[[Callable[[], None]], bool], size: int
    ) -> None:
        """Watch a call whose response has this many bytes until ``when_over`` calls back."""
        call = _Call(cancel, monotonic() + ANSWER_S + size / ANSWER_BYTES_PER_S)
        self._answered[call] = None
        if not when_over(lambda: self._answered.pop(call, None)):
            self._answered.pop(call, None)

    def _watch(self) -> None:
        while not self._stopped.wait(_TICK_S if self._arriving or self._answered else _IDLE_S):
            now = monotonic()
            for call in [call for call in list(self._answered) if call.ends_at < now]:
                self._answered.pop(call, None)
                call.cancel()
            slow = self._calls_to_cancel(now)
            if slow:
                logger.warning("%d gRPC messages that arrive slowly are given up.", len(slow))
            for call in slow:
                call.cancel()

    def _calls_to_cancel(self, now: float) -> list[_Call]:
        arriving = list(self._arriving)  # the oldest first
        ages = [now - call.since for call in arriving]
        if not ages or ages[0] <= SLOW_IN_NEED_S:
            self._resident_before = resident_bytes() - self._budget.used
            return []
        held = resident_bytes() - self._resident_before - self._budget.used
        count = to_cancel(
            ages,
            is_short_of_threads=len(arriving) >= self._threads,
            is_short_of_memory=held > self._budget.total,
        )
        return arriving[:count]


def to_cancel(ages: Sequence[float], *, is_short_of_threads: bool, is_short_of_memory: bool) -> int:
    """Return how many messages are cancelled, by the seconds that each has been arriving. Pure.

    The oldest ones come first.
    """
    slow = sum(age > SLOW_S for age in ages) if is_short_of_threads else 0
    if is_short_of_memory:
        slow = max(slow, -(-sum(age > SLOW_IN_NEED_S for age in ages) // 2))
    return slow


def resident_bytes() -> int:
    """Return the memory of the process; 0 where the system does not say."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
