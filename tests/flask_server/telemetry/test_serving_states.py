from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from flask_server.errors import (
    ModelNotReady,
    ServingTimeout,
    ServingUnavailable,
    UnknownModel,
)
from flask_server.serving.model_state import ModelState
from flask_server.serving.models import Models
from flask_server.serving.upstream import AddressState, SingleServing
from flask_server.telemetry.metric_families import ADDRESS_STATES, MODEL_STATES, PREFIX
from flask_server.telemetry.serving_states import ServingStates, address_values, model_values

LIVE = cast(Any, SimpleNamespace(version=3, spec=SimpleNamespace(task="classification")))
SERVER = cast(SingleServing, SimpleNamespace(breaker=SimpleNamespace(open=True), in_flight=2))


def values(found: Any) -> dict[str, float]:
    """Return the values by metric and labels, as one text."""
    return {" ".join((family.name, *labels)): value for family, labels, value in found}


def test_a_model_that_never_answered_has_no_version() -> None:
    state = ModelState(problem=ServingUnavailable("The model server is away."))

    assert values(model_values("toy", state)) == {"serving_up toy": 0, "model_ready toy": 0}


@pytest.mark.parametrize(
    ("problem", "up"), [(ServingTimeout("x"), 0), (ModelNotReady("x"), 1), (None, 1)]
)
def test_only_a_server_that_cannot_be_reached_is_down(problem: Any, up: int) -> None:
    found = values(model_values("toy", ModelState(newest=LIVE, problem=problem, score_drift=0.5)))

    assert found == {
        "serving_up toy": up,
        "model_ready toy": problem is None,
        "model_version toy": 3,
        "model_info toy classification": 1,
        "model_score_drift toy": 0.5,
    }


def test_servers_and_addresses_have_their_numbers() -> None:
    addresses = (
        AddressState("http://one", None, (3,), ()),
        AddressState("http://two", ServingUnavailable("x"), (), ()),
    )

    assert values(address_values("toy", [SERVER], [])) == {
        "serving_circuit_open toy 1": 1,
        "serving_calls_in_flight toy 1": 2,
    }
    assert values(address_values("toy", [], addresses)) == {
        "serving_address_up toy 1": 1,
        "serving_address_up toy 2": 0,
    }


def state_of(name: str) -> ModelState:
    if name == "removed":
        raise UnknownModel(name)
    return ModelState(newest=LIVE)


def test_a_model_that_is_removed_meanwhile_has_no_values() -> None:
    models = SimpleNamespace(names=("removed", "toy"), state=state_of, servers=lambda _: [SERVER])
    families = list(ServingStates(cast(Models, models)).collect())

    assert [each.name for each in families] == [
        PREFIX + family.name for family in (*MODEL_STATES, *ADDRESS_STATES)
    ]
    assert {sample.labels["model"] for each in families for sample in each.samples} == {"toy"}
