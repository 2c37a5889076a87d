"""Wait in a test until something has happened."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Far more than anything takes: neighbours may hold the processors, and only a failure waits so
#: long.
PATIENCE_S = 60.0
_PAUSE_S = 0.02


def eventually(condition: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Tell whether a condition becomes true in time; the test asserts it."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE_S)
    return True
