"""Say how many connections the process has file descriptors for."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

#: Descriptors for the files of models and for everything else that is opened later.
_RESERVED: Final = 64
_IN_USE: Final = 32
#: Without limits on descriptors, as on Windows, where ``select`` takes at most 512 sockets.
_NO_LIMIT: Final = 500


def max_connections() -> int:
    """Return the number of connections that the limit of the process leaves room for."""
    try:
        import resource
    except ImportError:
        return _NO_LIMIT
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    in_use = _IN_USE
    with suppress(OSError):
        in_use = len(os.listdir("/proc/self/fd"))
    return max(4, soft - in_use - min(_RESERVED, soft // 4))
