"""Keep little free memory: few heaps, which are trimmed after large requests.

Before a trim, objects in reference cycles are freed: they would keep the pages around them in use.
With any other C library than glibc nothing is done.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from model_server.cpus import CPUS

_EVERY_S: Final = 1.0
#: After fewer freed bytes than this, there is nothing worth returning.
_LEAST: Final = 1 << 20
#: Up to this many bytes freed since the last check, the server counts as quiet. It is more than
#: none, as health checks and small requests never end.
_QUIET: Final = 1 << 16
#: After this many freed bytes, or this time, memory is returned although the server is busy.
_BUSY: Final = 1 << 30
_BUSY_S: Final = 10.0

_M_ARENA_MAX: Final = -8
_LEAST_HEAPS: Final = 2


def limit_heaps() -> None:
    """Let threads share one heap per processor, at least two; call it before threads start.

    By default each thread gets a heap of its own, which keeps parts of its largest request.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, max(_LEAST_HEAPS, CPUS))


def keep_trimmed(released: Callable[[], int]) -> None:
    """Start a thread that trims the heaps; ``released`` returns how many bytes have been freed.

    A trimmed page that is needed again costs a page fault, so a server that is busy with requests
    of common size is trimmed rarely.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return

    gc.freeze()  # loaded objects are not scanned again, so that collecting is cheap

    def work() -> None:
        before = trimmed = released()
        trimmed_at = time.monotonic()
        while True:
            time.sleep(_EVERY_S)
            now = released()
            if is_due(now - trimmed, now - before, time.monotonic() - trimmed_at):
                gc.collect()
                trim(0)
                trimmed, trimmed_at = now, time.monotonic()
            before = now

    threading.Thread(target=work, name="malloc_trim", daemon=True).start()


def is_due(since_trim: int, since_check: int, seconds: float) -> bool:
    """Tell whether the heaps should be trimmed now. Pure.

    ``since_trim`` and ``since_check`` are the bytes that have been freed since the last trim and
    since the last check, ``seconds`` the time since the last trim.
    """
    is_quiet = since_check <= _QUIET
    return since_trim >= _BUSY or (since_trim >= _LEAST and (is_quiet or seconds >= _BUSY_S))
