"""A limit on the memory of processes that the kernel enforces, as a container has it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path("/sys/fs/cgroup")
_NAME = f"gateway-test-{os.getpid()}"


@dataclass(frozen=True)
class MemoryCgroup:
    """A control group with a memory controller of version 1 or 2."""

    folder: Path
    is_v2: bool

    @property
    def prefix(self) -> tuple[str, ...]:
        """The beginning of a command whose process, with all its children, is limited."""
        join = f'echo $$ >"{self.folder}/cgroup.procs" && exec "$@"'
        return ("/bin/sh", "-c", join, "sh")

    @property
    def kills(self) -> int:
        """How many processes the OOM killer has ended."""
        text = (self.folder / ("memory.events" if self.is_v2 else "memory.oom_control")).read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if "oom_kill " in line)

    @property
    def resident(self) -> int:
        """Bytes of the processes, without files that the kernel keeps in memory meanwhile."""
        name = "anon " if self.is_v2 else "total_rss "
        lines = (self.folder / "memory.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))


@contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """Make a control group whose processes may use so many bytes; skip the test where none can."""
    made = _made(_ROOT / "memory" / _NAME, "memory.limit_in_bytes", limit)
    group = MemoryCgroup(_ROOT / "memory" / _NAME, False)
    if not made:
        group = MemoryCgroup(_ROOT / _NAME, True)
        made = _made(group.folder, "memory.max", limit)
    if not made:
        pytest.skip("a control group with a memory limit cannot be made here")
    try:
        yield group
    finally:
        _remove(group.folder)


def _made(folder: Path, file: str, limit: int) -> bool:
    """Try to make a control group that has the file, and write the limit into it."""
    if not folder.parent.is_dir():
        return False
    try:
        folder.mkdir()
    except OSError:
        return False
    if (folder / file).exists():
        with suppress(OSError):
            (folder / file).write_text(str(limit))
            _forbid_swap(folder, limit)
            return True
    folder.rmdir()
    return False


def _forbid_swap(folder: Path, limit: int) -> None:
    for file, value in (("memory.memsw.limit_in_bytes", limit), ("memory.swap.max", 0)):
        with suppress(OSError):  # the kernel does not count it, or has no swap
            if (folder / file).exists():
                (folder / file).write_text(str(value))


def _remove(folder: Path) -> None:
    """Remove the group once the kernel has taken note that its processes have ended."""
    for _ in range(100):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            return
