"""Latency that gateway and model server add to the bare work with a single caller."""

from __future__ import annotations

from benchmarks.bench import Bench
from benchmarks.figures import Json, median
from benchmarks.fixtures import SIDES, Fixture
from benchmarks.limits import limit
from benchmarks.own_system import Layout, gateway_and_model_server


def one_connection(bench: Bench) -> Json:
    """Compare the median latency with that of the bare work, in alternation."""
    return {"models": {model: _added(bench, bench.fixture(model), Layout()) for model in SIDES}}


def _added(bench: Bench, fixture: Fixture, layout: Layout) -> Json:
    rounds = []
    with limit(fixture.model, layout) as bare, gateway_and_model_server(fixture, layout) as system:
        system.measure(fixture, 1, bench.warm_up_s)
        for _ in range(bench.rounds):
            plain = bare.latency(bench.seconds)["p50_ms"]
            asked = system.measure(fixture, 1, bench.seconds)
            rounds.append({"bare_ms": plain, "asked_ms": asked["p50_ms"], "asked": asked})
    added = median([r["asked_ms"] - r["bare_ms"] for r in rounds])
    bench.say(f"{fixture.model}, {layout.name}: {added:.2f} ms added")
    return {"engine": layout.name, "added_ms": added, "runs": rounds}
