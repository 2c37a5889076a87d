"""Limit the bytes that the requests of one process hold in memory."""

from __future__ import annotations

import threading


class MemoryBudget:
    """A number of bytes that requests share; safe to use from several threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The bytes that are reserved now."""
        return self._held

    def reserve(self, count: int) -> bool:
        """Reserve bytes; return False, without reserving any, if too few are left."""
        with self._lock:
            if self._held + count > self.total:
                return False
            self._held += count
            return True

    def release(self, count: int) -> None:
        """Give reserved bytes back."""
        with self._lock:
            self._held -= count
