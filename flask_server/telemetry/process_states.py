"""The processes of the gateway and its build, for Prometheus.

A scrape is answered by one worker, so it reads the figures of gunicorn's parent process and of
all workers from ``/proc``. Where that is missing, the metrics have no values.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from model_catalog.version import VERSION

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Process:
    """What ``/proc`` tells about one process."""

    cpu_s: float
    children_cpu_s: float
    """CPU time of the children that have ended."""

    threads: int
    started_at: float
    """Unix time."""

    resident_bytes: int
    open_files: int


class ProcessStates(Collector):
    """Memory, CPU time, files and threads of the processes of the gateway, and its version."""

    def __init__(self, prefix: str, parent: int | None) -> None:
        """``parent`` is the PID of gunicorn's parent process, None where the processes do not
        share their metrics: the figures are then those of this process."""
        self._prefix = prefix
        self._parent = parent
        self._labels = [VERSION, platform.python_version()]

    def collect(self) -> Iterator[Metric]:
        """Yield the version, and the figures of all processes."""
        build = self._gauge("build_info", "Always 1.", "version", "python")
        build.add_metric(self._labels, 1)
        found = self._processes()
        yield build
        yield self._gauge(
            "processes",
            "Processes: gunicorn's parent process and its workers.",
            of=len(found) or None,
        )
        yield from self._sums(list(found.values()))
        yield from self._files(list(found.values()))
        first = found.get(self._parent or os.getpid())
        yield self._gauge(
            "process_start_time_seconds",
            "Start of the gateway, in Unix time.",
            of=first.started_at if first else None,
        )

    def _sums(self, found: list[_Process]) -> Iterator[Metric]:
        yield self._gauge(
            "process_resident_memory_bytes",
            "Memory of all processes; pages that they share count in each.",
            of=sum(process.resident_bytes for process in found) or None,
        )
        cpu = CounterMetricFamily(
            f"{self._prefix}process_cpu_seconds",
            "CPU time of all processes, with workers that have ended.",
            labels=(),
        )
        if found:
            cpu.add_metric([], sum(process.cpu_s + process.children_cpu_s for process in found))
        yield cpu
        yield self._gauge(
            "process_threads",
            "Threads of all processes.",
            of=sum(process.threads for process in found) or None,
        )

    def _files(self, found: list[_Process]) -> Iterator[Metric]:
        yield self._gauge(
            "process_open_fds",
            "Open file descriptors of the process that has most.",
            of=max((process.open_files for process in found), default=None),
        )
        yield self._gauge(
            "process_max_fds",
            "Maximum number of open file descriptors of a process.",
            of=_max_files() if found else None,
        )

    def _processes(self) -> dict[int, _Process]:
        """Return the processes that run by their PIDs."""
        pids = {os.getpid()} if self._parent is None else {self._parent, *_children(self._parent)}
        found = {}
        for pid in pids:
            with suppress(OSError):  # it has ended, or there is no /proc
                found[pid] = _read(_PROC / str(pid))
        return found

    def _gauge(
        self, name: str, text: str, *labels: str, of: float | None = None
    ) -> GaugeMetricFamily:
        """Return a gauge; without labels it has the value ``of``, if that is known."""
        gauge = GaugeMetricFamily(self._prefix + name, text, labels=labels)
        if of is not None:
            gauge.add_metric([], of)
        return gauge


def _children(pid: int) -> list[int]:
    """Return the children of a process; this process alone where the kernel does not list them."""
    try:
        return [int(word) for word in (_PROC / f"{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return [os.getpid()]


def _read(folder: Path) -> _Process:
    # The name in the second field may have spaces and brackets.
    fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    booted_at = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    user, system, ended_user, ended_system = map(int, fields[11:15])
    return _Process(
        cpu_s=(user + system) / ticks,
        children_cpu_s=(ended_user + ended_system) / ticks,
        threads=int(fields[17]),
        started_at=booted_at + int(fields[19]) / ticks,
        resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        open_files=_open_files(folder),
    )


def _open_files(folder: Path) -> int:
    try:
        return len(os.listdir(folder / "fd"))
    except OSError:  # it has ended, and its parent has not noticed yet
        return 0


def _max_files() -> int:
    # Imported here, as Windows has no resource.
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
