from __future__ import annotations

import threading

import pytest

from model_server.errors import InvalidArgument, NotFound, Unavailable
from model_server.models.registry import ModelRequest, Registry, Servable, State
from tests.model_server.harness import in_threads
from tests.model_server.toy import half_plus


def registry(**states: State) -> Registry:
    """Return a registry of model ``m``; ``v1=State.AVAILABLE`` adds version 1."""
    registry = Registry()
    for name, state in states.items():
        servable = Servable("m", int(name[1:]))
        registry.add(servable)
        registry.set_state(servable, state, model=half_plus(servable.version))
    return registry


def test_without_a_version_the_highest_available_one_is_used() -> None:
    models = registry(v1=State.AVAILABLE, v2=State.AVAILABLE, v3=State.LOADING)

    with models.acquire(ModelRequest("m")) as handle:
        assert handle.version == 2


@pytest.mark.parametrize("state", [s for s in State if s is not State.AVAILABLE])
def test_only_available_versions_serve(state: State) -> None:
    with (
        pytest.raises(NotFound, match=r"request: Specific\(m, 1\)$"),
        registry(v1=state).acquire(ModelRequest("m", 1)),
    ):
        pass


def test_labels_lead_to_versions() -> None:
    models = registry(v1=State.AVAILABLE, v2=State.AVAILABLE)
    models.set_labels({"m": {"stable": 1, "gone": 7}})

    with models.acquire(ModelRequest("m", label="stable")) as handle:
        assert handle.version == 1
    with (
        pytest.raises(NotFound, match=r"Specific\(m, 7\)"),
        models.acquire(ModelRequest("m", label="gone")),
    ):
        pass
    with (
        pytest.raises(InvalidArgument, match="Unrecognized servable version label: x"),
        models.acquire(ModelRequest("m", label="x")),
    ):
        pass


def test_before_any_configuration_labels_are_unavailable() -> None:
    with (
        pytest.raises(Unavailable, match=r"Model labels does not init yet\.x$"),
        Registry().acquire(ModelRequest("m", label="x")),
    ):
        pass


def test_a_version_in_use_is_not_drained() -> None:
    models = registry(v1=State.AVAILABLE)
    [servable] = models.servables("m")
    drained = threading.Event()

    def drain(_: int) -> None:
        models.drain(servable)
        drained.set()

    with models.acquire(ModelRequest("m")), in_threads(1, drain):
        assert not drained.wait(0.1)
        with pytest.raises(NotFound), models.acquire(ModelRequest("m")):
            pass
        models._release(servable)
        assert drained.wait(60)
        servable.users += 1


def test_ended_versions_stay_listed_with_their_error() -> None:
    models = registry(v1=State.AVAILABLE)
    broken = Servable("m", 2)
    models.add(broken)
    models.set_state(broken, State.END, error=NotFound("no files"))

    newest, oldest = models.statuses("m")

    assert (newest.state, newest.error_code, newest.error_message) == (
        "END",
        "NOT_FOUND",
        "no files",
    )
    assert (oldest.state, oldest.error_code) == ("AVAILABLE", "OK")
    assert models.statuses("m", 1) == [oldest]
