"""Targets are compared with the measured results."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.figures import CURVES
from benchmarks.processor_kinds import AMX, KINDS, OTHER, WITH_INT8
from benchmarks.run import SCENARIOS
from benchmarks.scenarios.throughput import ALL, INT8, Lineup
from benchmarks.targets import TARGETS, Target, at, fall, memory_growth, over, verdicts

Json = dict[str, Any]


def runs(*figures: float) -> Json:
    return {"runs": [{"requests_per_s": figure} for figure in figures]}


def comparison(lineup: Lineup) -> Json:
    """Return the figures that a comparison writes, as far as targets read them."""
    run = {"requests_per_s": 1, "answers": 1, "wrong": 0, "refused": 0, "broken": 0}
    ours, figures = [layout.name for layout in lineup.layouts], {"runs": [run]}
    return {
        "systems": dict.fromkeys([*ours, *lineup.peers], figures),
        "limits": dict.fromkeys(ours, figures),
    }


def step(connections: int, figure: float, resident_mb: float = 0) -> Json:
    return {"connections": connections, "requests_per_s": figure, "resident_mb": resident_mb}


@pytest.mark.parametrize(("value", "met"), [(1.29, True), (1.3, True), (1.31, False)])
def test_an_upper_bound_is_inclusive(value: float, met: bool) -> None:
    target = Target("4", "CPU", at("part", "ms"), 1.3, False)

    verdict = target.verdict({"part": {"ms": value}}, OTHER)

    assert verdict == {"id": "4", "what": "CPU", "value": value, "target": "<= 1.3", "met": met}


@pytest.mark.parametrize(("value", "met"), [(0.87, False), (0.88, True), (0.89, True)])
def test_a_lower_bound_is_inclusive(value: float, met: bool) -> None:
    verdict = Target("1", "share", at("share"), 0.88).verdict({"share": value}, OTHER)

    assert (verdict["target"], verdict["met"]) == (">= 0.88", met)


def test_a_near_miss_is_a_miss_and_can_be_seen() -> None:
    verdict = Target("1", "share", at("share"), 0.88).verdict({"share": 0.879983}, OTHER)

    assert (verdict["value"], verdict["met"]) == (0.879983, False)


def test_a_kind_of_processor_may_have_a_bound_of_its_own() -> None:
    target = Target("2.2", "share", at("share"), 0.55, bounds={AMX.name: 0.62})

    found = [target.verdict({"share": 0.6}, kind) for kind in (OTHER, AMX)]

    assert [(v["target"], v["met"]) for v in found] == [(">= 0.55", True), (">= 0.62", False)]


def test_what_was_not_measured_is_not_met() -> None:
    found = verdicts({}, AMX)

    assert [(v["value"], v["met"]) for v in found] == [(None, False)] * len(TARGETS)


def test_a_target_of_other_kinds_of_processors_is_not_judged() -> None:
    ids = {kind.name: {v["id"] for v in verdicts({}, kind)} for kind in (*KINDS, OTHER)}

    judged = {name for name, found in ids.items() if "1.6" in found}

    assert judged == {kind.name for kind in WITH_INT8}
    assert all({"1.5", "8.4"} <= found for found in ids.values())


def test_every_target_finds_its_figures_in_what_the_sections_write() -> None:
    curve = {
        "held_mb": 1,
        "steps": [step(16, 1, 1) | {"p99_ms": 1, "p50_ms": 1}, step(256, 1, 2)],
    }
    start = {"later": {"ready_s": 1, "resident_mb": 1, "runs": [{"has_tensorflow": False}]}}
    sections = {
        **dict.fromkeys(("inception", "mobilenet"), comparison(ALL)),
        **dict.fromkeys(("inception_int8", "mobilenet_int8"), comparison(INT8)),
        **dict.fromkeys(CURVES, curve),
        **dict.fromkeys(("second_start", "second_start_int8"), start),
        **dict.fromkeys(
            ("large_jpeg", "model_growth", "batch_growth", "top_k_growth"), {"ratio": 1}
        ),
        "one_connection": {"models": {"mobilenet": {"added_ms": 1}}},
        "gateway_cpu": {"beyond_ms": 1},
    }

    assert sections.keys() <= SCENARIOS.keys()
    assert [v["id"] for v in verdicts(sections, AMX) if v["value"] is None] == []


def test_every_target_has_an_id_of_its_own() -> None:
    assert len({target.id for target in TARGETS}) == len(TARGETS)


def test_systems_are_compared_within_rounds() -> None:
    results = {"inception": {"systems": {"ours": runs(60, 30, 30), "theirs": runs(30, 10, 10)}}}

    assert over("inception", "ours", "theirs")(results) == 3


def test_a_peer_that_is_absent_leaves_a_gap() -> None:
    results = {"inception": {"systems": {"ours": runs(60)}}}

    verdict = Target("1.2", "x", over("inception", "ours", "theirs"), 2.2).verdict(results, OTHER)

    assert (verdict["value"], verdict["met"]) == (None, False)


def test_the_fall_counts_from_16_connections_on() -> None:
    steps = [step(1, 10), step(16, 100), step(64, 90), step(256, 80)]

    assert fall(steps) == 0.8


def test_memory_is_held_against_the_bodies_in_flight() -> None:
    model = {"held_mb": 0.5, "steps": [step(16, 1, 100), step(256, 1, 220)]}

    assert memory_growth(model) == 1.0
