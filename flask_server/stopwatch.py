"""Measure how long each stage of a request takes, for ``Server-Timing`` and the metrics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

#: All stages in the order of a request.
STAGES = ("decode", "preprocess", "serving", "postprocess")

#: Returns a context that is a span of a trace.
MakeSpan = Callable[[str], AbstractContextManager[object]]
_NO_SPAN = nullcontext()


class Stopwatch:
    """Adds up the seconds of each stage, and the seconds since its creation.

    Only the thread that created it counts: the other threads work for the request in parallel, so
    that their time would be counted twice. Where the request is traced, ``span`` makes a span of
    each stage, in every thread.
    """

    def __init__(self, span: MakeSpan | None = None) -> None:
        self._span = span
        self.seconds: dict[str, float] = {}
        self._thread = threading.get_ident()
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the duration of the ``with`` block to this stage."""
        start = time.perf_counter()
        try:
            with self._span(name) if self._span else _NO_SPAN:
                yield
        finally:
            if threading.get_ident() == self._thread:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def total(self) -> float:
        """Return the seconds since the stopwatch was made."""
        return time.perf_counter() - self._start

    def header(self) -> str:
        """Return the value of a ``Server-Timing`` header, in milliseconds."""
        durations = {name: self.seconds[name] for name in STAGES if name in self.seconds}
        durations["total"] = self.total()
        return ", ".join(f"{name};dur={spent * 1000:.2f}" for name, spent in durations.items())
