"""Measure where the milliseconds of one request go, for the ``Server-Timing`` header."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: Every stage, in the order in which a request passes them.
STAGES = ("decode", "preprocess", "serving", "postprocess")


class Stopwatch:
    """Adds up the seconds spent in each stage, and in all since it was made.

    Only the thread that made it counts: what others do for the request passes at the same time.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._thread = threading.get_ident()
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the ``with`` block for this stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if threading.get_ident() == self._thread:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def header(self) -> str:
        """Return the value of a ``Server-Timing`` header, in milliseconds."""
        passed = {name: self.seconds[name] for name in STAGES if name in self.seconds}
        passed["total"] = time.perf_counter() - self._start
        return ", ".join(f"{name};dur={spent * 1000:.2f}" for name, spent in passed.items())
