"""More requests than the servers can answer: the rest is refused at once, with ``Retry-After``.

The servers have their default settings and a real model. Latencies are reported, not asserted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from flask_server.settings import Settings
from tests.attack.usage import MB, children, forget_peak, peak_mb, usage
from tests.demo import ANSWERS
from tests.flask_server.gunicorn_process import running_gateway
from tests.model_server.harness import SERVER, server_process
from tests.resilience.form import FORM
from tests.resilience.open_loop import FAILURES, LOST, REFUSALS, WRONG, Plan, Question, Step
from tests.resilience.processors import Processors, divided, started_on
from tests.resilience.results import record
from tests.resilience.traffic import Traffic, capacity, sent
from tests.running import ROOT, answers
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DEFAULTS = Settings()
#: Connections of clients that wait for each response, to measure the capacity: half as many as the
#: gateway may have in flight, so that it refuses none and the batches are about as large.
CLIENTS = DEFAULTS.workers * DEFAULTS.max_in_flight // 2
#: Memory beside the budget: pools of the allocator, connections, requests that wait.
SLACK_MB = 100


@dataclass(frozen=True)
class Servers:
    """A gateway and a model server."""

    plan: Plan
    """Requests without a schedule."""

    gateway: int
    """PID of gunicorn's first process."""

    model_server: int

    processors: Processors


@pytest.fixture(scope="module")
def servers(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    folder = tmp_path_factory.mktemp("overload")
    flags = ("--model_name=toy", f"--model_base_path={demo.parent}")
    settings = {
        "GATEWAY_WORKERS": str(DEFAULTS.workers),
        "GUNICORN_CMD_ARGS": f"--pid {folder / 'pid'}",
    }
    questions = tuple(
        Question((ROOT / "test_images" / name).read_bytes(), f'"label":"{label}"')
        for name, label in ANSWERS.items()
    )
    processors = divided()
    with (
        started_on(processors.servers),
        server_process(SERVER, folder / "model_server.log", *flags) as serving,
        running_gateway(folder, f"http://127.0.0.1:{serving.port}", **settings) as url,
    ):
        assert eventually(lambda: answers(f"{url}/readyz"))
        port, path = int(url.rpartition(":")[2]), "/models/toy/predict?top_k=1"
        plan = Plan(port, path, "image/jpeg", questions, ())
        pid = int((folder / "pid").read_text())
        yield Servers(plan, pid, serving.child.pid, processors)


@dataclass(frozen=True)
class Overload:
    """What became of the requests of one rate."""

    times: float
    """The rate as a multiple of the capacity."""

    capacity: float
    traffic: Traffic
    """Of the overload, and of a while with half of the requests that can be answered."""

    grown_mb: float
    """Growth of the resident memory of both servers, at the most."""

    def figures(self) -> dict[str, Any]:
        """Return the figures for the report."""
        during = self.traffic.between(0, FORM.overload_s)
        right = self.traffic.of(200)
        refused, accepted = during.of(*REFUSALS), during.of(200)
        rate = len(during) / FORM.overload_s
        goodput = len(right.answered_between(0, FORM.overload_s)) / FORM.overload_s
        return {
            "times": self.times,
            "capacity": self.capacity,
            "rate": rate,
            "goodput": goodput,
            "goodput_share": goodput / min(rate, self.capacity),
            "refused": len(refused),
            "failed": len(during.of(*FAILURES)),
            "wrong": len(during.of(WRONG)),
            "lost": len(during.of(LOST)),
            "refused_ms": [refused.percentile_ms(each) for each in (50, 99)],
            "accepted_ms": [accepted.percentile_ms(each) for each in (50, 99)],
            "grown_mb": self.grown_mb,
            "recovery_s": self.recovery_s,
            "lag_ms": self.traffic.lag_ms,
            "right_per_s": [
                len(right.answered_between(second, second + 1))
                for second in range(int(FORM.overload_s))
            ],
        }

    @property
    def recovery_s(self) -> float:
        """Time from the end of the overload to the last request that was not answered."""
        end = FORM.overload_s
        bad = self.traffic.between(end, end + FORM.calm_s).other_than(200)
        return float((bad.due + bad.took_s).max() - end) if len(bad) else 0.0


def capacity_of(servers: Servers) -> float:
    """Return the right responses per second to clients that wait for each response."""
    with started_on(servers.processors.clients):
        return capacity(servers.plan, CLIENTS, FORM.capacity_s)


def overload(servers: Servers, most: float, times: float) -> Overload:
    """Send more requests than can be answered, then fewer; ``most`` is the capacity."""
    pids = (servers.gateway, servers.model_server)
    for pid in pids:
        forget_peak(pid)
    before = sum(usage(pid).resident_mb for pid in pids)
    steps = (Step(times * most, FORM.overload_s), Step(most / 2, FORM.calm_s))
    with started_on(servers.processors.clients):
        traffic = sent(replace(servers.plan, steps=steps))
    return Overload(times, most, traffic, sum(map(peak_mb, pids)) - before)


def test_what_is_too_much_is_refused_and_the_rest_is_answered(servers: Servers) -> None:
    assert eventually(lambda: len(children(servers.gateway)) == DEFAULTS.workers)
    workers = children(servers.gateway)
    before = capacity_of(servers)

    for times in FORM.overloads:
        found = overload(servers, before, times)
        after = capacity_of(servers)
        found = replace(found, capacity=(before + after) / 2)
        before = after
        processors = len(servers.processors.servers)
        record("overload", **found.figures(), processors=processors, lagged=found.traffic.lagged)
        assert found.traffic.bad == ()
        assert len(found.traffic.of(200)) > 0
        if times >= 2:
            assert len(found.traffic.of(*REFUSALS)) > 0
        budget_mb = DEFAULTS.workers * DEFAULTS.max_memory / MB
        assert found.grown_mb < budget_mb + SLACK_MB
        assert eventually(lambda: answers(f"http://127.0.0.1:{servers.plan.port}/readyz"))

    assert children(servers.gateway) == workers
