"""Count the bytes of requests and responses that are in memory, over all connections."""

from __future__ import annotations

import threading


class ByteBudget:
    """A number of bytes that may be in memory at the same time; safe to use from many threads."""

    def __init__(self, total: int) -> None:
        self._lock = threading.Lock()
        self._total = total
        self._used = 0
        self._released = 0

    @property
    def total(self) -> int:
        """The bytes that may be in memory at the same time."""
        return self._total

    @property
    def released(self) -> int:
        """The bytes that have been counted and are no longer, since the start."""
        return self._released

    @property
    def used(self) -> int:
        """The bytes that are counted now."""
        return self._used

    def take(self, size: int) -> bool:
        """Count ``size`` more bytes if they fit; tell whether they did."""
        with self._lock:
            if self._used + size > self._total:
                return False
            self._used += size
            return True

    def add(self, size: int) -> None:
        """Count ``size`` more bytes (fewer, if negative), whether they fit or not."""
        with self._lock:
            self._used += size
            self._released += max(-size, 0)
