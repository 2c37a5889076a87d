"""Run ``tests.resilience.open_loop`` in processes of its own, and read what its requests met."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.resilience.open_loop import LOST, WRONG, Plan, Step
from tests.running import ROOT

Floats = NDArray[np.float64]
#: Requests per second that one process sends without falling behind.
MAX_RATE = 1500.0
#: Time from the start of the schedule, once the processes are ready, to the first request.
START_S = 0.1
#: Lag above which the latencies of a run say something about the sender, too.
MAX_LAG_S = 0.025


@dataclass(frozen=True)
class Traffic:
    """What became of requests."""

    due: Floats
    """When the requests were to be sent, in seconds after the begin."""

    lag_s: Floats
    """How late the sender was."""

    took_s: Floats
    """Time from the due time to the end of the response."""

    outcome: Floats
    """Statuses of right responses and of problem documents, else ``LOST`` or ``WRONG``."""

    faults: tuple[str, ...] = ()

    def of(self, *outcomes: int) -> Traffic:
        """Only the requests with one of these outcomes."""
        return self._where(np.isin(self.outcome, outcomes))

    def other_than(self, *outcomes: int) -> Traffic:
        """Only the requests with other outcomes."""
        return self._where(~np.isin(self.outcome, outcomes))

    def between(self, begin: float, end: float) -> Traffic:
        """Only the requests that were due in this time."""
        return self._where((self.due >= begin) & (self.due < end))

    def answered_between(self, begin: float, end: float) -> Traffic:
        """Only the requests whose response came in this time."""
        at = self.due + self.took_s
        return self._where((at >= begin) & (at < end))

    def _where(self, chosen: NDArray[np.bool_]) -> Traffic:
        columns = (self.due, self.lag_s, self.took_s, self.outcome)
        return _traffic([column[chosen] for column in columns], self.faults)

    def __len__(self) -> int:
        return len(self.due)

    def counts(self) -> dict[int, int]:
        """Return the number of requests by outcome."""
        found, numbers = np.unique(self.outcome, return_counts=True)
        return dict(zip(map(int, found), map(int, numbers), strict=True))

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies; 0 without requests."""
        return float(np.percentile(self.took_s, percent)) * 1000 if len(self) else 0.0

    @property
    def lag_ms(self) -> float:
        """The 99th percentile of the lag of the sender."""
        return float(np.percentile(self.lag_s, 99)) * 1000 if len(self) else 0.0

    @property
    def lagged(self) -> str:
        """A sentence that says that the sender was late; nothing if it was in time."""
        if self.lag_ms <= MAX_LAG_S * 1000:
            return ""
        return f"the sender itself was {self.lag_ms:.0f} ms late for one request in 100"

    @property
    def bad(self) -> tuple[str, ...]:
        """The faults of lost requests and wrong responses."""
        count = len(self.of(LOST, WRONG))
        return (f"{count} lost or wrong", *self.faults) if count else ()


def _traffic(columns: Sequence[Floats], faults: Sequence[str]) -> Traffic:
    due, lag_s, took_s, outcome = columns
    return Traffic(due, lag_s, took_s, outcome, tuple(faults))


def read(rows: bytes, faults: Sequence[str]) -> Traffic:
    """Return what an engine has written down."""
    return _traffic(list(np.frombuffer(rows, np.float64).reshape(-1, 4).T), faults)


def joined(parts: Sequence[Traffic]) -> Traffic:
    """All requests of several senders."""
    columns = [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("due", "lag_s", "took_s", "outcome")
    ]
    return _traffic(columns, [fault for part in parts for fault in part.faults])


class Senders:
    """The processes that carry out a plan."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._files = [folder / f"{number}.rows" for number in range(processes(plan))]
        self._running = [self._start(number) for number in range(len(self._files))]
        self.begin = 0.0
        """Time of the monotonic clock."""

    def _start(self, number: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.resilience.open_loop", str(self._files[number])]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        assert process.stdin is not None
        process.stdin.write(part(self._plan, number, len(self._files)).to_json() + "\n")
        process.stdin.flush()
        return process

    def let_begin(self) -> None:
        """Let all processes begin at the same time, once they are ready."""
        for process in self._running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "a sender failed"
        self.begin = time.monotonic() + START_S
        for process in self._running:
            assert process.stdin is not None
            process.stdin.write(f"{self.begin}\n")
            process.stdin.close()

    def stop(self) -> None:
        """End the processes, also before their time."""
        for process in self._running:
            process.terminate()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()

    def result(self) -> Traffic:
        """Wait for the last response, and return everything."""
        return joined([self._read(*each) for each in zip(self._running, self._files, strict=True)])

    def _read(self, process: subprocess.Popen[str], file: Path) -> Traffic:
        assert process.stdout is not None
        faults = process.stdout.read()
        assert process.wait() == 0, "a sender failed"
        return read(file.read_bytes(), json.loads(faults))


def processes(plan: Plan) -> int:
    """Return how many processes carry out a plan; each has a connection at least."""
    if plan.clients:
        return 1
    needed = int(max(step.rate for step in plan.steps) // MAX_RATE) + 1
    return min(needed, plan.connections or plan.most_connections)


def part(plan: Plan, number: int, parts: int) -> Plan:
    """Return the part of a plan that one of several processes carries out."""
    steps = tuple(Step(step.rate / parts, step.seconds) for step in plan.steps)
    return replace(
        plan,
        steps=steps,
        connections=_share(plan.connections, number, parts),
        most_connections=_share(plan.most_connections, number, parts),
        seed=plan.seed + number,
    )


def _share(count: int, number: int, parts: int) -> int:
    """Return a part of a count; the parts differ by 1 at most."""
    return (count + number) // parts


@contextmanager
def sending(plan: Plan) -> Iterator[Senders]:
    """Carry out a plan while the block runs; the block asks for the result."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        senders = Senders(plan, Path(folder))
        stack.callback(senders.stop)
        senders.let_begin()
        yield senders


def sent(plan: Plan) -> Traffic:
    """Carry out a plan."""
    with sending(plan) as senders:
        return senders.result()


def capacity(plan: Plan, clients: int, seconds: float) -> float:
    """Return the right responses per second to clients that wait for each response.

    The first third of the time is for warming up.
    """
    closed = replace(plan, clients=clients, steps=(Step(1, seconds),))
    traffic = sent(closed)
    assert not traffic.bad, traffic.bad
    right = len(traffic.of(200).answered_between(seconds / 3, seconds))
    assert right, "no response in the whole time"
    return right / (seconds * 2 / 3)
