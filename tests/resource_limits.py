"""Take resources away from a running process, and give them back (Linux only)."""

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

#: Mark of the tests that limit a process.
needs_prlimit = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prlimit is needed")


@contextmanager
def limited(pid: int, kind: int, soft: int) -> Iterator[None]:
    """Lower the soft limit of a process inside the block; 0 is this process."""
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it may have ended for want of the resource
            resource.prlimit(pid, kind, before)


@contextmanager
def full_disk(pid: int = 0, size: int = 0) -> Iterator[None]:
    """Let no file of a process grow beyond a size."""
    with limited(pid, resource.RLIMIT_FSIZE, size):
        yield


@contextmanager
def descriptors_left(pid: int, count: int) -> Iterator[None]:
    """Let a process open so many further files and sockets."""
    folder = f"/proc/{pid}/fd"
    names = os.listdir(folder)  # in this process, one is that of the folder itself
    numbers = {int(name) for name in names if os.path.lexists(f"{folder}/{name}")}
    free = (number for number in range(1 << 20) if number not in numbers)
    limit = next(free)
    for _ in range(count):
        limit = next(free)
    with limited(pid, resource.RLIMIT_NOFILE, limit):
        yield


@contextmanager
def memory_left(pid: int, count: int) -> Iterator[None]:
    """Let the address space of a process grow by so many bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    with limited(pid, resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + count):
        yield


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Let this process start no thread."""
    size = 256 << 20
    before = threading.stack_size(size)
    try:
        with memory_left(os.getpid(), size // 4):
            yield
    finally:
        threading.stack_size(before)
