"""Throughput, latency and memory from one connection to 256."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.bench import Bench
from benchmarks.figures import Json, median
from benchmarks.fixtures import Fixture
from benchmarks.own_system import Layout, gateway_and_model_server
from benchmarks.system_under_test import FORMS

STEPS = {"mobilenet": (1, 2, 4, 8, 16, 32, 64, 128, 256), "inception": (1, 4, 16, 64, 256)}
#: Above the largest number of connections, so that nothing is refused.
IN_FLIGHT = 320
#: The lowest of five steps counts, so each needs more precision than the other scenarios give.
_MORE_ROUNDS = 2


def mobilenet_connections(bench: Bench) -> Json:
    """Measure each step in each round, all on one running system with MobileNet."""
    return _curve(bench, bench.fixture("mobilenet"), STEPS["mobilenet"])


def inception_connections(bench: Bench) -> Json:
    """Measure each step in each round, all on one running system with InceptionV3."""
    return _curve(bench, bench.fixture("inception"), STEPS["inception"])


def _curve(bench: Bench, fixture: Fixture, counts: Sequence[int]) -> Json:
    layout = replace(Layout(), in_flight=IN_FLIGHT)
    runs: dict[int, list[Json]] = {step: [] for step in counts}
    with gateway_and_model_server(fixture, layout) as system:
        pace = system.measure(fixture, 16, bench.warm_up_s)["requests_per_s"]
        for _ in range(bench.rounds + _MORE_ROUNDS):
            for step in counts:
                window_s = bench.window_s(step, pace)
                runs[step].append(system.measure(fixture, step, window_s))
    for step in counts:
        bench.say(f"{fixture.model}, {step}: {runs[step][-1]['requests_per_s']:.1f}/s")
    return {
        "model": fixture.model,
        "engine": layout.name,
        "held_mb": held_mb(fixture),
        "steps": [{"connections": step} | _step(runs[step]) for step in counts],
    }


def held_mb(fixture: Fixture) -> float:
    """Return the memory in MB that one request needs while it is in flight.

    The gateway holds its body and the body for Serving; the model server holds the latter and the
    pixels.
    """
    body = median([len(FORMS["image"].body(data, fixture)) for data in fixture.pictures])
    onward = len(FORMS["pixels"].body(fixture.pictures[0], fixture))
    return (body + 2 * onward + fixture.side**2 * 3) / 1024 / 1024


def _step(runs: list[Json]) -> Json:
    keys = ("requests_per_s", "p50_ms", "p99_ms", "refused", "broken", "wrong")
    medians = {key: median([run[key] for run in runs]) for key in keys}
    # Memory of the first round: the processes still hold memory of 256 connections in later ones.
    return medians | {"resident_mb": sum(runs[0]["resident_mb"].values()), "runs": runs}
