from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from flask_server.errors import ModelNotReady, ServingUnavailable
from flask_server.serving.model_state import ModelState
from flask_server.serving.traffic import Traffic
from flask_server.serving.upstream import AddressState

LIVE = cast(Any, SimpleNamespace(version=3))
AWAY = ServingUnavailable("The model server is away.")
#: Two addresses: one is away, the other has another model as its version 4.
ADDRESSES = (AddressState("one:1", AWAY, (), ()), AddressState("two:1", None, (3,), (4,)))


def test_a_usable_version_alone_is_fine() -> None:
    state = ModelState(newest=LIVE)

    assert (state.is_fine, state.summary, state.warnings) == (True, "version 3 is live", ())


@pytest.mark.parametrize(
    "state",
    [
        ModelState(),
        ModelState(newest=LIVE, problem=AWAY),
        ModelState(newest=LIVE, unusable={4: AWAY}),
        ModelState(newest=LIVE, addresses=ADDRESSES),
        ModelState(newest=LIVE, traffic=Traffic({"a": 1}, {}, {}, {"a": "it has no version"})),
    ],
)
def test_whatever_cannot_be_used_is_not_fine(state: ModelState) -> None:
    assert not state.is_fine


def test_the_summary_tells_the_failure_of_the_poll_first() -> None:
    assert ModelState(newest=LIVE, problem=AWAY).summary.startswith("serving_unavailable: ")
    assert ModelState().summary == "no available version"


def test_the_summary_names_addresses_and_the_warnings_number_them() -> None:
    state = ModelState(newest=LIVE, addresses=ADDRESSES)

    assert state.summary == (
        "version 3 is live. one:1: The model server is away."
        " two:1: Version 4 differs from that of the other addresses."
    )
    assert state.warnings == (
        "Address 1: The model server is away.",
        "Address 2: Version 4 differs from that of the other addresses.",
    )


def test_a_newer_version_that_cannot_be_used_is_named() -> None:
    state = ModelState(newest=LIVE, unusable={4: ModelNotReady("It is broken.")})

    assert state.summary == "version 3 is live. Version 4 cannot be used: It is broken."
    assert state.warnings == ("Version 4 cannot be used: It is broken.",)
