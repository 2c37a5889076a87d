"""Compare numbers of workers and threads, to find the defaults of auto_cmd.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import product

from benchmarks.bench import Bench
from benchmarks.figures import Json
from benchmarks.fixtures import SIDES, Fixture
from benchmarks.own_system import CPUS, Layout, gateway_and_model_server

CONNECTIONS = 16


def sweep(bench: Bench) -> Json:
    """Measure every layout on both models; the list is sorted, best first."""
    return {"models": {model: _sorted(bench, bench.fixture(model)) for model in SIDES}}


def layouts() -> Iterator[Layout]:
    """Yield the layouts that are compared on this machine."""
    counts = sorted({1, max(1, CPUS // 2), CPUS})
    for workers, engine_threads, http_threads in product(counts, counts, (8, 32)):
        yield Layout(
            gateway_workers=workers, engine_threads=engine_threads, http_threads=http_threads
        )


def _sorted(bench: Bench, fixture: Fixture) -> list[Json]:
    results = [_measured(bench, fixture, layout) for layout in layouts()]
    return sorted(results, key=lambda result: -float(result["requests_per_s"]))


def _measured(bench: Bench, fixture: Fixture, layout: Layout) -> Json:
    with gateway_and_model_server(fixture, layout) as system:
        system.measure(fixture, CONNECTIONS, bench.warm_up_s)
        result = system.measure(fixture, CONNECTIONS, bench.seconds)
    bench.say(
        f"{fixture.model}: {layout.gateway_workers} workers, {layout.engine_threads} engine"
        f" threads, {layout.http_threads} HTTP threads: {result['requests_per_s']:.1f}/s"
    )
    return asdict(layout) | result
