"""The deadline of a request."""

from __future__ import annotations

import time
from collections.abc import Callable

from flask_server.errors import ServingTimeout


class Deadline:
    """A point in time that all steps of one request share."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def left(self) -> float:
        """Return the seconds that remain, or raise ServingTimeout when there are none."""
        remaining = self._end - self._clock()
        if remaining <= 0:
            raise self.passed()
        return remaining

    def within(self, seconds: float) -> Deadline:
        """Return the earlier one of this deadline and ``seconds`` from now; raise as ``left``."""
        return Deadline(min(seconds, self.left()), self._clock)

    def passed(self) -> ServingTimeout:
        """Return the error to raise once the deadline has passed."""
        return ServingTimeout(f"The deadline of {self.seconds:g} s passed without a response.")
