"""What a process and its children use, from /proc (Linux only)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MB = 1024 * 1024
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True, slots=True)
class Usage:
    """Figures of all processes of a server together."""

    resident_mb: float
    threads: int
    descriptors: int


def children(pid: int) -> list[int]:
    """The processes that a process has started and not reaped, lowest PID first."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(*_GONE):
            found += map(int, task.read_text().split())
    return sorted(found)


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for child in children(pid):
        yield from family(child)


def own_usage(pid: int) -> Usage:
    """What one process uses now; nothing if it has ended."""
    pages = threads = descriptors = 0
    with suppress(*_GONE):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        threads = len(os.listdir(f"/proc/{pid}/task"))
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Usage(pages * os.sysconf("SC_PAGE_SIZE") / MB, threads, descriptors)


def usage(pid: int) -> Usage:
    """What the process and its descendants use now."""
    found = [own_usage(member) for member in family(pid)]
    return Usage(*(sum(getattr(each, name) for each in found) for name in Usage.__slots__))


def forget_peak(pid: int) -> None:
    """Let the peak of resident memory begin anew."""
    for member in family(pid):
        with suppress(*_GONE):
            Path(f"/proc/{member}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    """The largest resident memory of each process since ``forget_peak``, added up."""
    total = 0
    for member in family(pid):
        with suppress(*_GONE):
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return total / 1024
