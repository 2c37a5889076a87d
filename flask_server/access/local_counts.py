"""Count requests in this process, by a clock that is never set.

The storage of ``limits`` measures windows by the time of day. When that is set back by an hour, a
caller who has reached a limit would be refused for an hour longer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits.storage import Storage

#: The scheme under which Flask-Limiter finds LocalCounts.
SCHEME = "gateway+memory"


@dataclass(slots=True)
class _Window:
    count: int
    ends_at: float


class LocalCounts(Storage):
    """Request counts in fixed windows, each of which starts with the first request."""

    STORAGE_SCHEME = [SCHEME]

    def __init__(
        self, uri: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(uri)
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Exceptions that a call may raise: none that are expected."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count and return it; a count expires ``expiry`` seconds after its start."""
        with self._lock:
            window = self._current(key)
            if window is None:
                self._remove_expired()
                window = self._windows[key] = _Window(0, self._clock() + expiry)
            window.count += amount
            return window.count

    def get(self, key: str) -> int:
        """Return a count."""
        with self._lock:
            window = self._current(key)
            return window.count if window else 0

    def get_expiry(self, key: str) -> float:
        """Return when a count expires, in Unix time."""
        with self._lock:
            window = self._current(key)
            return time.time() + (window.ends_at - self._clock() if window else 0.0)

    def clear(self, key: str) -> None:
        """Set a count to zero."""
        with self._lock:
            self._windows.pop(key, None)

    def check(self) -> bool:
        """Return whether the counts can be used: always."""
        return True

    def reset(self) -> int | None:
        """Set all counts to zero; return how many there were."""
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
            return count

    def _current(self, key: str) -> _Window | None:
        window = self._windows.get(key)
        return window if window and self._clock() < window.ends_at else None

    def _remove_expired(self) -> None:
        """Remove windows that have ended; all are examined, since a new window begins rarely."""
        now = self._clock()
        for key in [key for key, window in self._windows.items() if window.ends_at <= now]:
            del self._windows[key]
