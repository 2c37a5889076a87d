"""Run ``benchmarks.in_process`` as a worker process and send it commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from benchmarks.figures import Json
from benchmarks.own_system import Layout
from benchmarks.processes import LOGS, ROOT, cpu_s

BATCH = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """A worker process that has loaded its model; it measures the limit of one engine."""

    name: str
    process: subprocess.Popen[str]

    def throughput(self, seconds: float, size: int = BATCH) -> Json:
        """Return pictures per second without HTTP, and the CPU milliseconds per picture."""
        before = cpu_s([self.process.pid])
        result = self._send(f"throughput {size} {seconds}")
        answers = max(result["requests_per_s"] * result["seconds"], 1)
        return result | {"cpu_ms": (cpu_s([self.process.pid]) - before) / answers * 1000}

    def latency(self, seconds: float, size: int = 1) -> Json:
        """Return the median time of decode, resize and inference, one batch at a time."""
        return self._send(f"latency {size} {seconds}")

    def _send(self, command: str) -> Json:
        _pipe(self.process.stdin).write(f"{command}\n")
        _pipe(self.process.stdin).flush()
        return self.read()

    def read(self) -> Json:
        """Return the worker's next line."""
        line = _pipe(self.process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self.name} in process ended with {self.process.wait()}")
        answer: Json = json.loads(line)
        return answer


@contextmanager
def limit(model: str, layout: Layout) -> Iterator[Limit]:
    """Run a worker with the layout's engine; the block starts after its warm-up."""
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.in_process"]
    resize = "exact" if layout.exact_resize else "usual"
    command += [layout.engine, layout.precision, resize, str(layout.streams), model]
    with (LOGS / "benchmarks.in_process.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        worker = Limit(layout.name, process)
        worker.read()
        yield worker
    finally:
        process.kill()
        process.communicate()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("The worker has no pipes.")
    return pipe
