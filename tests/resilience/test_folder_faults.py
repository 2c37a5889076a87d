"""Damaged, half-copied and vanished version folders under load."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.resilience.form import FORM, long
from tests.resilience.outcome import Outcome, under_all_loads
from tests.resilience.results import record
from tests.resilience.stand import Stand
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

GRAPH = "saved_model.pb"
WEIGHTS = Path("variables", "variables.data-00000-of-00001")


def without_weights(version: Path) -> None:
    """The copy has got no further than the graph."""
    shutil.rmtree(version / "variables")


def with_half_a_graph(version: Path) -> None:
    """The copy has ended within a file."""
    graph = version / GRAPH
    os.truncate(graph, graph.stat().st_size // 2)


def with_half_the_weights(version: Path) -> None:
    weights = version / WEIGHTS
    os.truncate(weights, weights.stat().st_size // 2)


def unreadable(version: Path) -> None:
    """A folder in place of a file cannot be read by root either."""
    (version / GRAPH).unlink()
    (version / GRAPH).mkdir()


def empty(version: Path) -> None:
    for each in version.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def overwritten(version: Path) -> None:
    """Another version is copied over this one."""
    shutil.copytree(version.with_name("other"), version, dirs_exist_ok=True)


def check(stand: Stand, fault: str, found: list[Outcome]) -> None:
    for gateway, each in zip(stand.gateways, found, strict=True):
        row = each.row()
        record("folder", fault=fault, engine=stand.engine, protocol=gateway.protocol, **row)
        assert (each.wrong, each.lost) == ([], [])


@long
@pytest.mark.parametrize(
    ("number", "damage"),
    [
        (101, with_half_the_weights),
        (102, with_half_a_graph),
        (103, without_weights),
        (104, unreadable),
        (105, empty),
    ],
)
def test_a_damaged_new_version_leaves_the_old_one_alone(
    patient: Stand, number: int, damage: Callable[[Path], None]
) -> None:
    """Each has a number of its own: the model server never tries a failed one again."""
    draft = patient.publisher.base / ".draft"
    shutil.copytree(patient.publisher.exports / "2", draft)
    damage(draft)

    def act() -> None:
        draft.rename(patient.publisher.base / str(number))
        assert eventually(lambda: patient.serving.client.states("toy").get(number) == "END")
        time.sleep(FORM.fault_s)

    found = under_all_loads(patient.gateways, act)

    check(patient, f"new version {damage.__name__.replace('_', ' ')}", found)
    assert [each.problems for each in found] == [{}, {}]
    assert patient.available == [1]


@pytest.mark.parametrize(
    "damage",
    [
        overwritten,
        pytest.param(with_half_the_weights, marks=long),
        pytest.param(with_half_a_graph, marks=long),
        pytest.param(empty, marks=long),
    ],
)
def test_a_version_that_is_damaged_while_it_serves_goes_on(
    patient: Stand, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(patient.publisher.exports / "2", patient.publisher.base / "other")

    def act() -> None:
        damage(patient.publisher.base / "1")
        time.sleep(FORM.fault_s)

    found = under_all_loads(patient.gateways, act)

    check(patient, f"live version {damage.__name__.replace('_', ' ')}", found)
    assert [each.problems for each in found] == [{}, {}]
    replace_version_1(patient)


def replace_version_1(stand: Stand) -> None:
    """Load the version anew from an undamaged folder."""
    stand.publisher.publish(2)
    assert eventually(lambda: stand.available == [2])
    stand.publisher.withdraw(1)
    stand.publisher.publish(1)


@long
def test_a_deleted_model_comes_back(patient: Stand) -> None:
    def act() -> None:
        patient.publisher.withdraw(1)
        assert eventually(lambda: not patient.available)
        time.sleep(FORM.fault_s)
        patient.publisher.publish(1)
        assert eventually(lambda: patient.available == [1])

    found = under_all_loads(patient.gateways, act)

    check(patient, "the only version deleted and put back", found)


@long
def test_a_vanished_base_folder_changes_nothing(patient: Stand) -> None:
    base = patient.publisher.base

    def act() -> None:
        moved = base.rename(base.with_name("moved"))
        try:
            time.sleep(FORM.fault_s)
        finally:
            moved.rename(base)

    found = under_all_loads(patient.gateways, act)

    check(patient, "base folder away", found)
    assert [each.problems for each in found] == [{}, {}]
