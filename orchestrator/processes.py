"""Look up processes of the machine: in ``/proc`` on Linux, with ``ps`` elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_LINUX = sys.platform.startswith("linux")


def identity(pid: int) -> str | None:
    """Return the start time, which with the PID identifies a process; None when it has ended."""
    if not _LINUX:
        return _ps(pid, "lstart=")
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else stat[19]


def command_line(pid: int) -> str | None:
    """Return the command line of a process; None when it has ended or may not be read."""
    if not _LINUX:
        return _ps(pid, "command=")
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text or None


def parent(pid: int) -> int:
    """Return the PID of the parent of a process, 0 when it has ended."""
    if not _LINUX:
        return int(_ps(pid, "ppid=") or 0)
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def lock_holders(inode: int) -> frozenset[int]:
    """Return the processes that hold a lock on a file; empty where they cannot be seen."""
    try:
        rows = [row.split() for row in Path("/proc/locks").read_text("ascii").splitlines()]
    except OSError:
        return frozenset()
    found = (row[4] for row in rows if len(row) > 5 and row[5].endswith(f":{inode}"))
    return frozenset(int(pid) for pid in found if int(pid) > 0)


def owner(pid: int) -> int | None:
    """Return the user id of a process (Linux only, else None)."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def group_is_running(group: int) -> bool:
    """Tell whether a process group has a member that is not a zombie (Linux only, else False)."""
    return any(stat[2] == str(group) and stat[0] not in "ZX" for _, stat in _stats())


def group_cpu_s(group: int) -> float | None:
    """Return the CPU time of a process group, ended children included; None where it is unknown."""
    if not _LINUX:
        return None
    ticks = [sum(map(int, stat[11:15])) for _, stat in _stats() if stat[2] == str(group)]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def children(pid: int) -> frozenset[int]:
    """Return the live direct children of a process."""
    if _LINUX:
        found = (child for child, stat in _stats() if stat[1] == str(pid) and stat[0] not in "ZX")
        return frozenset(found)
    rows = (row.split() for row in _ps_all())
    return frozenset(int(child) for child, parent in rows if parent == str(pid))


def _stats() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(folder.name))
        if stat is not None:
            yield int(folder.name), stat


def _stat(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/PID/stat`` that follow the name, the state first."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _ps(pid: int, column: str) -> str | None:
    return _run_ps("-p", str(pid), "-o", column) or None


def _ps_all() -> list[str]:
    return _run_ps("-A", "-o", "pid=,ppid=").splitlines()


def _run_ps(*arguments: str) -> str:
    argv = ["/bin/ps", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - fixed program
    return done.stdout.strip()
