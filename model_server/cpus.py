"""Count the CPUs that this process may use, for defaults that depend on it."""

from __future__ import annotations

import os
from typing import Final


def usable_cpus() -> int:
    """Return the number of CPUs that the affinity of the process allows, as TensorFlow does."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


CPUS: Final = usable_cpus()
