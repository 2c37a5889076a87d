"""Keep the memory of a process with many threads near what it needs. Only glibc can be told to."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Final

#: How often what is free goes back to the system. Pages that are needed again cost a fault each.
EVERY_S: Final = 2.0

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

#: Below this, what is freed stays with the process until it is trimmed; the most glibc allows for
#: single blocks. Left alone, glibc gives back and asks anew several times per picture.
_KEPT: Final = 32 * 1024 * 1024


def share() -> None:
    """Let all threads use one heap, and let it keep what is freed; best before there are any.

    By default glibc gives each thread one, and each keeps what its largest pictures once needed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT)


def keep_trimmed() -> None:
    """From now on give back the holes that decoded pictures leave between longer-lived data."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return

    def work() -> None:
        while True:
            time.sleep(EVERY_S)
            trim(0)

    threading.Thread(target=work, name="malloc_trim", daemon=True).start()
