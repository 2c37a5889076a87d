"""A limit on the memory of processes that the kernel enforces, as a container has it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import eventually

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

    def take(self, pid: int) -> None:
        """Limit a process that runs; what it holds already does not count (version 1 and 2)."""
        (self.folder / "cgroup.procs").write_text(str(pid))

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
    groups = (MemoryCgroup(_ROOT / "memory" / _NAME, False), MemoryCgroup(_ROOT / _NAME, True))
    try:
        made = next((group for group in groups if _made(group, limit)), None)
        if made is None:
            pytest.skip("a control group with a memory limit cannot be made here")
        yield made
    finally:
        for group in groups:
            _remove(group.folder)


def _made(group: MemoryCgroup, limit: int) -> bool:
    """Try to make a control group with a memory controller, and give it the limit."""
    file = group.folder / ("memory.max" if group.is_v2 else "memory.limit_in_bytes")
    if not group.folder.parent.is_dir():
        return False
    with suppress(OSError):
        group.folder.mkdir()
        if file.exists():
            file.write_text(str(limit))
            _forbid_swap(group.folder, limit)
            return True
    return False


def _forbid_swap(folder: Path, limit: int) -> None:
    for file, value in (("memory.memsw.limit_in_bytes", limit), ("memory.swap.max", 0)):
        with suppress(OSError):  # the kernel does not count it, or has no swap
            if (folder / file).exists():
                (folder / file).write_text(str(value))


def _remove(folder: Path) -> None:
    """Remove the group once the kernel has taken note that its processes have ended."""

    def is_removed() -> bool:
        with suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    assert eventually(is_removed), folder
