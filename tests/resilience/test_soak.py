"""Hot swaps for a long time at 70 % of the capacity: no process grows and nothing gets slower.

``make soak`` runs it for an hour, and continuous integration for three minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.attack.usage import Usage, children, own_usage
from tests.resilience.form import FORM
from tests.resilience.open_loop import FAILURES, LOST, REFUSALS, WRONG, Plan, Question, Step
from tests.resilience.results import record
from tests.resilience.stand import PATH, Gateway, Stand, running_stand, small_image
from tests.resilience.traffic import Traffic, capacity, sending
from tests.resilience.trend import PARTS, growth, medians
from tests.resilience.versions import export_versions
from tests.waiting import eventually

MINUTES = float(os.environ.get("SOAK_MINUTES", "0"))
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.slow,
    pytest.mark.skipif(not MINUTES, reason="make soak runs it"),
    pytest.mark.timeout(900 + 60 * MINUTES),
]

#: Share of the capacity that the clients ask for.
SHARE = 0.7
VERSIONS = 6
#: To each gateway; not more than it has places for predictions, so that it refuses none.
CONNECTIONS = 32
SWAP_S = 10.0
SAMPLE_S = 1.0
CAPACITY_S = 10.0
#: Seconds after which figures count: at first pools and caches fill.
WARM_UP_S = min(300.0, 60 * MINUTES / 3)
#: What a process may grow by in the whole time after that: a step of the allocator, a connection.
MAX_GROWTH = Usage(resident_mb=16, threads=2, descriptors=4)
#: Whether the latency and the refusals count. In a short time they depend on the neighbours on a
#: shared machine, so only wrong responses and growth do.
IS_WHOLE = MINUTES >= 60
#: Largest ratio of the median latency in the last third to that in the first one.
MAX_DRIFT = 1.5
#: Largest share of requests that may be refused or late.
MAX_FAILED = 0.001


@dataclass
class Diary:
    """What one process used, second by second."""

    name: str
    pid: int
    at: list[float] = field(default_factory=list)
    seen: list[Usage] = field(default_factory=list)

    def note(self, now: float) -> None:
        self.at.append(now)
        self.seen.append(own_usage(self.pid))

    def values(self, figure: str) -> list[float]:
        return [float(getattr(each, figure)) for each in self.seen]

    def growth(self) -> dict[str, float]:
        """How much each figure grew in the time."""
        return {name: growth(self.at, self.values(name)) for name in Usage.__slots__}

    def row(self) -> dict[str, Any]:
        """The figures for the report."""
        return {
            "name": self.name,
            "last": asdict(self.seen[-1]),
            "growth": self.growth(),
            "resident_mb": medians(self.at, self.values("resident_mb")),
        }


def diaries(stand: Stand) -> list[Diary]:
    """One for each process."""
    found = [Diary("model server", stand.serving.child.pid)]
    for gateway in stand.gateways:
        found.append(Diary(f"gunicorn, {gateway.protocol}", gateway.pid))
        found += [Diary(f"worker, {gateway.protocol}", pid) for pid in children(gateway.pid)]
    return found


def plan_for(gateway: Gateway, *steps: Step) -> Plan:
    questions = (Question(small_image()),)
    return Plan(*(gateway.port, PATH, "image/png", questions, steps), connections=CONNECTIONS)


def versions() -> Iterator[int]:
    """The version to serve after each swap: up to the newest one, and back again."""
    return cycle(chain(range(2, VERSIONS + 1), range(VERSIONS - 1, 0, -1)))


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    exports = tmp_path / "exports"
    export_versions(exports, VERSIONS)
    with running_stand("openvino", exports, tmp_path) as stand:
        yield stand


class Swaps:
    """Swaps the version at intervals, and checks that each swap takes effect."""

    def __init__(self, stand: Stand, begin: float) -> None:
        self.count = 0
        self._stand, self._next = stand, begin
        self._versions = versions()
        self._version = 1

    def go_on(self, now: float) -> None:
        """Swap if it is time."""
        if now < self._next:
            return
        took_effect = eventually(lambda: self._stand.available == [self._version])
        assert took_effect, (self._version, self._stand.available)
        self._version = next(self._versions)
        self._stand.publisher.newest(self._version)
        self.count += 1
        self._next = now + SWAP_S


def capacities(stand: Stand) -> list[float]:
    """Return the capacity of each gateway while the other one is busy, too."""
    with ThreadPoolExecutor() as pool:
        measured = [
            pool.submit(capacity, plan_for(gateway), FORM.clients, CAPACITY_S)
            for gateway in stand.gateways
        ]
        return [each.result() for each in measured]


def soaked(stand: Stand, rates: list[float], watched: list[Diary]) -> tuple[list[Traffic], int]:
    """Send requests, swap versions and note what the processes use; return the requests after the
    warm-up, and the number of swaps."""
    seconds = 60 * MINUTES
    with ExitStack() as stack:
        senders = [
            stack.enter_context(sending(plan_for(gateway, Step(rate, seconds))))
            for gateway, rate in zip(stand.gateways, rates, strict=True)
        ]
        begin = max(each.begin for each in senders)
        swaps = Swaps(stand, begin)
        while (now := time.monotonic()) < begin + seconds - SAMPLE_S:
            swaps.go_on(now)
            if now >= begin + WARM_UP_S:
                for diary in watched:
                    diary.note(now)
            time.sleep(SAMPLE_S)
        traffics = [each.result() for each in senders]
    return [each.between(WARM_UP_S, seconds) for each in traffics], swaps.count


def drift(traffic: Traffic) -> float:
    """Return the ratio of the median latency in the last third to that in the first one."""
    begin, one, two, end = np.linspace(traffic.due.min(), traffic.due.max(), 4)
    first, last = traffic.between(begin, one), traffic.between(two, end)
    return last.percentile_ms(50) / first.percentile_ms(50)


def latency_row(gateway: Gateway, rate: float, traffic: Traffic) -> dict[str, Any]:
    """The figures of one gateway for the report."""
    parts = np.linspace(traffic.due.min(), traffic.due.max(), PARTS + 1)
    each_part = [traffic.between(*edges) for edges in zip(parts[:-1], parts[1:], strict=True)]
    return {
        "protocol": gateway.protocol,
        "rate": rate,
        "requests": len(traffic),
        "failed": len(traffic.of(*FAILURES, *REFUSALS)),
        "wrong": len(traffic.of(WRONG)),
        "lost": len(traffic.of(LOST)),
        "drift": drift(traffic),
        "lag_ms": traffic.lag_ms,
        "at": [float(part - parts[0]) for part in parts[:-1]],
        "p50_ms": [part.percentile_ms(50) for part in each_part],
        "p99_ms": [part.percentile_ms(99) for part in each_part],
    }


def test_nothing_grows_and_nothing_gets_slower(stand: Stand) -> None:
    watched = diaries(stand)
    rates = [SHARE * each for each in capacities(stand)]

    traffics, swaps = soaked(stand, rates, watched)

    record(
        "soak",
        minutes=MINUTES,
        swaps=swaps,
        processes=[diary.row() for diary in watched],
        latencies=[
            latency_row(*each) for each in zip(stand.gateways, rates, traffics, strict=True)
        ],
    )
    assert diaries(stand) == [Diary(diary.name, diary.pid) for diary in watched]
    for traffic in traffics:
        assert traffic.bad == ()
        if IS_WHOLE:
            assert len(traffic.other_than(200)) <= MAX_FAILED * len(traffic)
            assert drift(traffic) < MAX_DRIFT, traffic.lagged
    grown = {diary.name: diary.growth() for diary in watched}
    assert [name for name, growth in grown.items() if exceeds(growth, MAX_GROWTH)] == [], grown


def exceeds(growth: dict[str, float], most: Usage) -> bool:
    return any(grown > getattr(most, name) for name, grown in growth.items())
