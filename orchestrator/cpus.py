"""Count the CPUs that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cpus(quota: Path = _QUOTA) -> int:
    """Return the number of CPUs that affinity and the container's quota allow, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(count or 1, _quota_cpus(quota)))


def _quota_cpus(quota: Path) -> int:
    """Return the quota in CPUs, rounded up; a large number when there is no quota."""
    try:
        most, period = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no cgroup v2 here, or "max": no quota
        return 1_000_000
    return -(-most // period)
