"""What a fuzz target is: a reader of bytes, its good inputs, and the errors that it may raise."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

#: Seconds of CPU time that one input may take; hundreds of times what the slowest takes.
CPU_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """One reader."""

    name: str

    read: Callable[[bytes], object]
    """Reads the bytes, and asserts what is true of everything that it accepts."""

    refusals: tuple[type[Exception], ...]
    """The documented errors; any other exception is a defect."""

    seeds: Callable[[], Sequence[bytes]]
    """Inputs that are read, or refused for a reason of their own."""

    words: tuple[bytes, ...] = ()
    """Pieces that mean something to the reader."""

    examples: int = 100
    """Inputs in ``make test``."""

    longest: int = 4096
    """Most bytes of an input that Atheris makes."""

    def accepts(self, data: bytes) -> bool:
        """Read the bytes; tell whether they were read or refused. Other exceptions are raised."""
        try:
            self.read(data)
        except self.refusals:
            return False
        return True


class TooSlow(BaseException):
    """An input took more CPU time than allowed; no reader takes it for one of its errors."""


@contextmanager
def limited_cpu(seconds: float = CPU_S) -> Iterator[None]:
    """Raise TooSlow in a block that takes more CPU time; time of other processes does not count."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
