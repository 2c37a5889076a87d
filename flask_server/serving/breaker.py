"""A circuit breaker: refuse calls to a server that does not answer, until a probe succeeds.

After ``FAILURES`` failures in a row the circuit is open: calls fail at once instead of waiting for
a timeout. Every ``PROBE_S`` seconds one call is let through as a probe (half-open); its success
closes the circuit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Failures in a row that open the circuit.
FAILURES = 5
#: Seconds between two probes while the circuit is open.
PROBE_S = 0.5


class Breaker:
    """The circuit to one server; safe to use from several threads."""

    def __init__(
        self,
        failures: int = FAILURES,
        probe_s: float = PROBE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_failures = failures
        self._probe_s = probe_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._next_probe = 0.0

    def allows(self) -> bool:
        """Tell whether a call may be sent now; True on an open circuit is a probe."""
        with self._lock:
            if self._failures < self._max_failures:
                return True
            now = self._clock()
            if now < self._next_probe:
                return False
            self._next_probe = now + self._probe_s
            return True

    def succeeded(self) -> None:
        """Close the circuit."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """Count a failure, and open the circuit after enough of them in a row."""
        with self._lock:
            self._failures += 1
            self._next_probe = self._clock() + self._probe_s

    @property
    def probe_due(self) -> bool:
        """Whether the circuit is open and the next call would be a probe."""
        return self.open and self._clock() >= self._next_probe

    @property
    def open(self) -> bool:
        """Whether calls fail at once."""
        return self._failures >= self._max_failures
