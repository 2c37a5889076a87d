"""Be another user, for tests of what a user may not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def restricted() -> Iterator[None]:
    """Be a user whom modes of files restrict, which they do not for root."""
    user = os.geteuid()
    os.seteuid(user or NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
