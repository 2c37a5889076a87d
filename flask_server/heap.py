"""Keep a process of many threads small."""

from __future__ import annotations

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8


def share() -> None:
    """Let all threads use one heap, if the C library is glibc; best before there are any.

    By default it gives each thread one, and each keeps what its largest pictures once needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
