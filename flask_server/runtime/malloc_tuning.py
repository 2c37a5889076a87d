"""Tune glibc's malloc so that a process with many threads keeps little free memory.

With any other C library the functions do nothing.
"""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Final

#: Seconds between two trims. A trimmed page that is needed again costs a page fault.
EVERY_S: Final = 2.0

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

#: Blocks up to this many bytes come from the heap and stay there when freed, until the next trim.
#: It is the maximum that glibc allows. By default glibc would return such blocks to the system and
#: request them again several times per image.
_KEPT: Final = 32 * 1024 * 1024


def share() -> None:
    """Let all threads share one heap that keeps freed blocks; call it before threads start.

    By default each thread gets a heap of its own, which stays as large as its largest image.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT)


def keep_trimmed() -> None:
    """Start a thread that returns free heap pages to the system every two seconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return

    def work() -> None:
        while True:
            time.sleep(EVERY_S)
            trim(0)

    threading.Thread(target=work, name="malloc_trim", daemon=True).start()
