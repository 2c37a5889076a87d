"""Convert the time limit of a run into the milliseconds that engines take. Pure."""

from __future__ import annotations

from math import ceil
from typing import Final

_MAX_MS: Final = 2**31 - 1


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
