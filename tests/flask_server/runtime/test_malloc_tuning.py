from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from flask_server.runtime import malloc_tuning

#: Threads that live at the same time allocate; glibc tells how many heaps there are.
_COUNT = """
import ctypes, sys, threading
from flask_server.runtime import malloc_tuning
if sys.argv[1] == "shared":
    malloc_tuning.share()
meet = threading.Barrier(4)
def work():
    libc = ctypes.CDLL(None)
    libc.malloc(1000)
    meet.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


#: Takes 40 MB, uses and frees them.
_USE = """
import ctypes, resource, sys, time
from pathlib import Path
from flask_server.runtime import malloc_tuning
if sys.argv[1] == "shared":
    malloc_tuning.share()
libc = ctypes.CDLL(None)
libc.prctl(41, 1, 0, 0, 0)  # no huge pages, of which each is counted as one fault
libc.malloc.restype = ctypes.c_void_p
def use():
    blocks = [ctypes.c_void_p(libc.malloc(20 << 20)) for _ in range(2)]
    for block in blocks:
        libc.memset(block, 1, 20 << 20)
    for block in blocks:
        libc.free(block)
"""

#: How many MB of pages a process touches anew while it does so ten times.
_TOUCHED = """
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
touched = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(touched * resource.getpagesize() >> 20)
"""

#: By how many MB it shrinks once its heap is kept trimmed.
_TRIMMED = """
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() >> 20
use()
before, end = resident(), time.monotonic() + 60
malloc_tuning.EVERY_S = 0.01
malloc_tuning.keep_trimmed()
while before - resident() < 30 and time.monotonic() < end:
    time.sleep(0.01)
print(before - resident())
"""

only_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")


def child(code: str, mode: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the usual allocator, whatever the user has set for others."""
    of_allocators = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    environ = {
        name: text for name, text in os.environ.items() if not name.startswith(of_allocators)
    }
    command = [sys.executable, "-c", code, mode]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True)


def touched_mb(mode: str) -> int:
    return int(child(_USE + _TOUCHED, mode).stdout)


def heaps(mode: str) -> int:
    return child(_COUNT, mode).stderr.count("Arena ")


@only_glibc
def test_threads_share_one_heap() -> None:
    assert heaps("usual") > 1
    assert heaps("shared") == 1


@only_glibc
def test_memory_that_is_needed_again_at_once_stays() -> None:
    assert touched_mb("usual") > 200
    assert touched_mb("shared") < 60


@only_glibc
def test_what_is_kept_goes_back_to_the_system() -> None:
    assert int(child(_USE + _TRIMMED, "shared").stdout) >= 30


def test_what_is_free_goes_back_to_the_system_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trimmed = threading.Semaphore(0)
    libc = SimpleNamespace(malloc_trim=lambda _: trimmed.release())
    monkeypatch.setattr("flask_server.runtime.malloc_tuning.ctypes.CDLL", lambda _: libc)
    monkeypatch.setattr(malloc_tuning, "EVERY_S", 0.01)

    malloc_tuning.keep_trimmed()

    assert trimmed.acquire(timeout=60)
    assert trimmed.acquire(timeout=60)
    monkeypatch.setattr(malloc_tuning, "EVERY_S", 3600)


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_server.runtime.malloc_tuning.ctypes.CDLL", lambda _: object())
    before = set(threading.enumerate())

    malloc_tuning.share()
    malloc_tuning.keep_trimmed()

    assert "malloc_trim" not in {thread.name for thread in set(threading.enumerate()) - before}
