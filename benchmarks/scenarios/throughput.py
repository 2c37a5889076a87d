"""Throughput of systems and of the bare work, in alternating rounds with 16 connections."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.figures import Json, summary
from benchmarks.fixtures import INT8 as SUFFIX
from benchmarks.fixtures import Fixture
from benchmarks.limits import Limit, limit
from benchmarks.own_system import Layout, gateway_and_model_server
from benchmarks.peer_systems import GENUINE_ROWS, PEERS, NotInstalled, require_genuine
from benchmarks.system_under_test import SystemUnderTest

CONNECTIONS = 16
FIGURES = ("requests_per_s", "p50_ms", "p99_ms", "wrong", "refused", "broken")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineup:
    """The systems that a section measures within the same rounds."""

    layouts: Sequence[Layout]
    """Our own systems, and the engines of the limits."""

    peers: Sequence[str]
    """Names of other systems, keys of ``PEERS``."""


_LITSERVE = ("litserve", "litserve, fast resize")
_BF16 = (Layout(stream_per_core=True), Layout())
_F32 = (Layout(precision="f32"), Layout(engine="tensorflow", precision="f32"))
ALL = Lineup(
    layouts=(_BF16[0], Layout(stream_per_core=True, exact_resize=True), _BF16[1], *_F32),
    peers=(*_LITSERVE, "bentoml", "flask + keras", "tutorial", "embedded, pixels"),
)
INT8 = Lineup(
    layouts=(Layout(precision="int8", stream_per_core=True), Layout(precision="int8"), *_BF16),
    peers=_LITSERVE,
)
GENUINE = Lineup(layouts=(_BF16[1], *_F32), peers=(*GENUINE_ROWS, "litserve"))


def inception(bench: Bench) -> Json:
    """Compare on InceptionV3, where arithmetic is most of the work."""
    return compare(bench, bench.fixture("inception"), ALL)


def mobilenet(bench: Bench) -> Json:
    """Compare on MobileNet, where everything around the arithmetic is most of the work."""
    return compare(bench, bench.fixture("mobilenet"), ALL)


def inception_int8(bench: Bench) -> Json:
    """Compare int8 with bf16 and LitServe on InceptionV3."""
    return compare(bench, bench.fixture(f"inception{SUFFIX}"), INT8)


def mobilenet_int8(bench: Bench) -> Json:
    """Compare int8 with bf16 and LitServe on MobileNet."""
    return compare(bench, bench.fixture(f"mobilenet{SUFFIX}"), INT8)


def inception_genuine(bench: Bench) -> Json:
    """Compare with the genuine server on InceptionV3, or raise NotInstalled."""
    require_genuine()
    return compare(bench, bench.fixture("inception"), GENUINE)


def mobilenet_genuine(bench: Bench) -> Json:
    """Compare with the genuine server on MobileNet, or raise NotInstalled."""
    require_genuine()
    return compare(bench, bench.fixture("mobilenet"), GENUINE)


def compare(bench: Bench, fixture: Fixture, lineup: Lineup) -> Json:
    """Measure each system once per round, so that ratios can be taken within rounds."""
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        limits = [stack.enter_context(limit(fixture.model, layout)) for layout in lineup.layouts]
        systems = _started(stack, fixture, lineup, absent)
        windows = {key: _window_s(bench, fixture, system) for key, system in systems.items()}
        rounds = [_round(bench, fixture, systems, limits, windows) for _ in range(bench.rounds)]
    return {
        "model": fixture.network,
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
    stack: ExitStack, fixture: Fixture, lineup: Lineup, absent: dict[str, str]
) -> dict[str, SystemUnderTest]:
    """Start all systems; they stay idle while others are measured."""
    systems = {
        layout.name: stack.enter_context(gateway_and_model_server(fixture, layout))
        for layout in lineup.layouts
    }
    for key in lineup.peers:
        try:
            systems[key] = stack.enter_context(PEERS[key](fixture))
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
