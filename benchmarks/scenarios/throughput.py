"""Throughput of all systems and of the bare work, in alternating rounds with 16 connections."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.figures import Json, summary
from benchmarks.fixtures import Fixture
from benchmarks.limits import Limit, limit
from benchmarks.own_system import ENGINES, gateway_and_model_server
from benchmarks.peer_systems import NotInstalled, peers
from benchmarks.system_under_test import SystemUnderTest

CONNECTIONS = 16
FIGURES = ("requests_per_s", "p50_ms", "p99_ms", "wrong", "refused", "broken")


def inception(bench: Bench) -> Json:
    """Compare on InceptionV3, where arithmetic is most of the work."""
    return compare(bench, bench.fixture("inception"))


def mobilenet(bench: Bench) -> Json:
    """Compare on MobileNet, where everything around the arithmetic is most of the work."""
    return compare(bench, bench.fixture("mobilenet"))


def compare(bench: Bench, fixture: Fixture) -> Json:
    """Measure each system once per round, so that ratios can be taken within rounds."""
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        limits = [stack.enter_context(limit(fixture.model, layout)) for layout in ENGINES]
        systems = _started(stack, fixture, absent)
        windows = {key: _window_s(bench, fixture, system) for key, system in systems.items()}
        rounds = [_round(bench, fixture, systems, limits, windows) for _ in range(bench.rounds)]
    return {
        "model": fixture.model,
        "side": fixture.side,
        "trained": fixture.trained,
        "connections": CONNECTIONS,
        "absent": absent,
        "systems": {
            key: {"name": system.name} | summary([r[key] for r in rounds], FIGURES)
            for key, system in systems.items()
        },
        "limits": {
            limit.name: summary(
                [r[f"limit {limit.name}"] for r in rounds], ("requests_per_s", "cpu_ms")
            )
            for limit in limits
        },
    }


def _started(
    stack: ExitStack, fixture: Fixture, absent: dict[str, str]
) -> dict[str, SystemUnderTest]:
    """Start all systems; they stay idle while others are measured."""
    systems = {
        layout.name: stack.enter_context(gateway_and_model_server(fixture, layout))
        for layout in ENGINES
    }
    for key, start in peers(fixture).items():
        try:
            systems[key] = stack.enter_context(start())
        except (NotInstalled, RuntimeError) as error:
            absent[key] = str(error)
    return systems


def _window_s(bench: Bench, fixture: Fixture, system: SystemUnderTest) -> float:
    """Warm the system up, and return the duration of its measurements."""
    with system.resumed():
        pace = system.measure(fixture, CONNECTIONS, bench.warm_up_s)["requests_per_s"]
    return bench.window_s(CONNECTIONS, pace)


def _round(
    bench: Bench,
    fixture: Fixture,
    systems: dict[str, SystemUnderTest],
    limits: list[Limit],
    windows: dict[str, float],
) -> dict[str, Json]:
    results = {}
    for worker in limits:
        results[f"limit {worker.name}"] = worker.throughput(bench.seconds)
    for key, system in systems.items():
        with system.resumed():
            results[key] = system.measure(fixture, CONNECTIONS, windows[key])
    for key, result in results.items():
        bench.say(f"{key}: {result['requests_per_s']:.1f}/s")
    return results
