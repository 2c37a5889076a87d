"""Count the processors that this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cpus(quota: Path = _QUOTA) -> int:
    """Return the processors left by affinity and by the container's quota, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(count or 1, _quota_cpus(quota)))


def _quota_cpus(quota: Path) -> int:
    """Return the quota in whole processors, rounded up; a big number when there is none."""
    try:
        most, period = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no quota
        return 1_000_000
    return -(-most // period)
