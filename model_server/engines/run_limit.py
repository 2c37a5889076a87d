"""Convert the time limit of a run into the milliseconds that engines take."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Final, Self

_MAX_MS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RunLimit:
    """The time limit of a run, which all of its parts share."""

    ms: int
    """The milliseconds of the whole run, 0 for no limit."""

    end: float
    """When the run must be over, by the monotonic clock."""

    @classmethod
    def from_now(cls, timeout_s: float | None, default_ms: int) -> Self:
        """Return the limit of a run that starts now; the arguments are those of run_limit_ms."""
        ms = run_limit_ms(timeout_s, default_ms)
        return cls(ms, monotonic() + ms / 1000)

    def left_ms(self) -> int:
        """Return the milliseconds that are left, at least 1; 0 for no limit."""
        return max(ceil((self.end - monotonic()) * 1000), 1) if self.ms else 0


def run_limit_ms(timeout_s: float | None, default_ms: int) -> int:
    """Return the limit of a run in milliseconds, 0 for none.

    ``timeout_s`` is the limit of the request: infinity for none, None for ``default_ms``, of which
    0 or less means none.
    """
    if timeout_s is None:
        return max(default_ms, 0)
    if timeout_s * 1000 > _MAX_MS:
        return 0
    return max(ceil(timeout_s * 1000), 1)
