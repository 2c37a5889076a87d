"""Return the memory of large requests to the system after they have been answered.

First, objects in reference cycles are freed: they would keep the pages around them in use. With any
other C library than glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

_EVERY_S: Final = 1.0
#: After this many bytes, free memory is returned once no more are freed.
_WHEN_QUIET: Final = 1 << 20
#: After this many bytes, it is returned although more are freed.
_WHEN_BUSY: Final = 1 << 30


def keep_trimmed(released: Callable[[], int]) -> None:
    """Start a thread that trims the heaps; ``released`` returns how many bytes have been freed.

    A trimmed page that is needed again costs a page fault, so a server that is busy with requests
    of common size is trimmed rarely.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return

    gc.freeze()  # what has been loaded is not looked at again, so that collecting is cheap

    def work() -> None:
        before = trimmed = released()
        while True:
            time.sleep(_EVERY_S)
            now = released()
            if is_due(now - trimmed, now - before):
                gc.collect()
                trim(0)
                trimmed = now
            before = now

    threading.Thread(target=work, name="malloc_trim", daemon=True).start()


def is_due(since_trim: int, since_look: int) -> bool:
    """Tell whether the heaps should be trimmed now, by the bytes that have been freed. Pure."""
    return since_trim >= _WHEN_BUSY or (since_trim >= _WHEN_QUIET and not since_look)
