"""The lifecycle of versions in real folders, with a toy engine; each test polls when it wants."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from model_server.errors import Unknown
from model_server.models import lifecycle
from model_server.models.lifecycle import Lifecycle, LifecycleOptions
from model_server.models.registry import ModelRequest, Registry, State
from model_server.models.versions import All, Latest, ModelConfig, Policy, Specific
from tests.model_server.toy import ToyEngine, write_version
from tests.resource_limits import needs_prlimit, no_thread_left
from tests.waiting import eventually


@dataclass
class World:
    """A lifecycle over one folder per model, in a temporary folder."""

    root: Path
    options: LifecycleOptions = field(default_factory=lambda: LifecycleOptions(max_retries=0))
    engine: ToyEngine = field(default_factory=ToyEngine)

    def __post_init__(self) -> None:
        self.registry = Registry()
        self.lifecycle = Lifecycle(self.registry, self.engine.load, self.options)

    def base(self, model: str = "m") -> Path:
        return self.root / model

    def serve(self, policy: Policy = Latest(), *models: str) -> None:  # noqa: B008 - frozen
        self.lifecycle.configure(
            [ModelConfig(name, self.base(name), policy) for name in models or ("m",)]
        )

    def poll(self) -> None:
        self.lifecycle.poll()

    def states(self, model: str = "m") -> dict[int, str]:
        return {s.version: s.state.value for s in self.registry.servables(model)}

    def becomes(self, expected: dict[int, str], model: str = "m") -> bool:
        return eventually(lambda: self.states(model) == expected)

    def answering(self, model: str = "m") -> int:
        with self.registry.acquire(ModelRequest(model)) as handle:
            return handle.version


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.lifecycle.stop()


def test_a_new_version_takes_over_and_the_old_one_ends(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})

    write_version(world.base(), 2)
    world.poll()

    assert world.becomes({2: "AVAILABLE", 1: "END"})
    assert world.answering() == 2


def test_the_old_version_serves_until_the_new_one_is_available(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})
    world.engine.gate = threading.Event()

    write_version(world.base(), 2)
    world.poll()
    world.poll()

    assert world.becomes({2: "LOADING", 1: "AVAILABLE"})
    assert world.answering() == 1
    world.engine.gate.set()
    assert world.becomes({2: "AVAILABLE", 1: "END"})


def test_requests_in_flight_end_on_the_old_version(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})

    with world.registry.acquire(ModelRequest("m")) as handle:
        write_version(world.base(), 2)
        world.poll()
        assert world.becomes({2: "AVAILABLE", 1: "UNLOADING"})
        assert (handle.version, getattr(handle.model, "is_closed", None)) == (1, False)

    assert world.becomes({2: "AVAILABLE", 1: "END"})
    assert getattr(handle.model, "is_closed", None) is True


def test_a_broken_version_leaves_the_old_one_alone(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})

    write_version(world.base(), 2, fail="DATA_LOSS")
    world.poll()

    assert world.becomes({2: "END", 1: "AVAILABLE"})
    assert world.registry.statuses("m", 2)[0].error_code == "DATA_LOSS"


def test_a_failed_version_is_not_tried_again_but_the_next_one_is(world: World) -> None:
    write_version(world.base(), 1)
    broken = write_version(world.base(), 2, fail="INTERNAL")
    world.serve()
    assert world.becomes({2: "END"})

    shutil.rmtree(broken)
    world.poll()
    assert world.becomes({2: "END", 1: "AVAILABLE"})
    write_version(world.base(), 2)
    world.poll()
    assert world.becomes({2: "END", 1: "AVAILABLE"})
    write_version(world.base(), 3)
    world.poll()

    assert world.becomes({3: "AVAILABLE", 2: "END", 1: "END"})


def test_when_the_newest_version_is_deleted_the_one_before_is_loaded(world: World) -> None:
    write_version(world.base(), 1)
    newest = write_version(world.base(), 2)
    world.serve()
    assert world.becomes({2: "AVAILABLE"})

    shutil.rmtree(newest)
    world.poll()

    assert world.becomes({2: "END", 1: "AVAILABLE"})


def test_a_version_that_was_unloaded_can_be_loaded_again(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    for _ in range(2):
        newest = write_version(world.base(), 2)
        world.poll()
        assert world.becomes({2: "AVAILABLE", 1: "END"})
        shutil.rmtree(newest)
        world.poll()
        assert world.becomes({2: "END", 1: "AVAILABLE"})


def test_without_any_version_folder_everything_is_unloaded(world: World) -> None:
    only = write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})

    shutil.rmtree(only)
    world.poll()

    assert world.becomes({1: "END"})


def test_without_the_base_path_nothing_happens(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})

    shutil.rmtree(world.base())
    world.poll()

    assert world.answering() == 1


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        (Latest(2), {2: "AVAILABLE", 3: "AVAILABLE"}),
        (All(), {1: "AVAILABLE", 2: "AVAILABLE", 3: "AVAILABLE"}),
        (Specific(frozenset({1, 3})), {1: "AVAILABLE", 3: "AVAILABLE"}),
    ],
)
def test_the_policy_decides_what_is_loaded(
    world: World, policy: Policy, states: dict[int, str]
) -> None:
    for version in (1, 2, 3):
        write_version(world.base(), version)

    world.serve(policy)

    assert world.becomes(states)


def test_a_changed_policy_takes_effect(world: World) -> None:
    for version in (1, 2):
        write_version(world.base(), version)
    world.serve(All())
    assert world.becomes({1: "AVAILABLE", 2: "AVAILABLE"})

    world.serve(Specific(frozenset({1})))

    assert world.becomes({1: "AVAILABLE", 2: "END"})


class Moody:
    """Wants every version, but fails at the second look."""

    def __init__(self) -> None:
        self.looks = 0

    def choose(self, versions: Iterable[int]) -> set[int]:
        self.looks += 1
        if self.looks == 2:
            raise ValueError
        return set(versions)


def test_a_failed_poll_does_not_end_the_polling(tmp_path: Path) -> None:
    world, policy = World(tmp_path, LifecycleOptions(poll_s=0.01, max_retries=0)), Moody()
    world.base().mkdir()
    world.serve(policy)

    world.lifecycle.start()
    assert eventually(lambda: policy.looks >= 2)
    write_version(world.base(), 1)

    assert world.becomes({1: "AVAILABLE"})
    world.lifecycle.stop()


@needs_prlimit
def test_a_load_without_a_thread_is_made_up_for_by_the_next_poll(world: World) -> None:
    write_version(world.base(), 1)

    with no_thread_left():
        world.serve()
        first = world.registry.statuses("m", 1)[0]
    world.poll()

    assert (first.state, first.error_code) == ("END", "RESOURCE_EXHAUSTED")
    assert world.becomes({1: "AVAILABLE"})


@needs_prlimit
def test_a_version_serves_on_while_there_is_no_thread_to_unload_it(world: World) -> None:
    write_version(world.base(), 1)
    world.serve()
    assert world.becomes({1: "AVAILABLE"})
    shutil.rmtree(world.base() / "1")

    with no_thread_left():
        world.poll()
        answering = world.answering()
    world.poll()

    assert answering == 1
    assert world.becomes({1: "END"})


@needs_prlimit
def test_a_removed_model_without_a_thread_to_unload_it_goes_with_the_next_poll(
    world: World,
) -> None:
    for model in ("m", "n"):
        write_version(world.base(model), 1)
    world.serve(Latest(), "m", "n")
    assert world.becomes({1: "AVAILABLE"})

    with no_thread_left():
        world.serve(Latest(), "n")
    world.poll()

    assert world.becomes({1: "END"})


def test_models_are_loaded_and_unloaded_with_the_configuration(world: World) -> None:
    for model in ("a", "b"):
        write_version(world.base(model), 1)
    world.serve(Latest(), "a")
    assert world.becomes({1: "AVAILABLE"}, "a")

    world.serve(Latest(), "b")

    assert world.becomes({1: "END"}, "a")
    assert world.becomes({1: "AVAILABLE"}, "b")


def test_a_model_that_is_configured_again_retries_its_failed_version(world: World) -> None:
    broken = write_version(world.base(), 1, fail="INTERNAL")
    world.serve()
    assert world.becomes({1: "END"})

    world.lifecycle.configure([])
    shutil.rmtree(broken)
    write_version(world.base(), 1)
    world.serve()

    assert world.becomes({1: "AVAILABLE"})


def test_a_load_that_outlasts_its_models_removal_leaves_the_other_versions_alone(
    world: World,
) -> None:
    base = write_version(world.base("late"), 1).parent
    world.serve(All(), "late")
    assert world.becomes({1: "AVAILABLE"}, "late")
    gate = world.engine.gate = threading.Event()
    write_version(base, 2)
    world.poll()
    assert eventually(lambda: len(world.engine.loads) == 2)
    world.engine.gate = None  # of the loads that follow
    world.lifecycle.configure([])
    assert world.becomes({2: "LOADING", 1: "END"}, "late")
    world.serve(All(), "late")
    assert world.becomes({2: "LOADING", 1: "AVAILABLE"}, "late")

    gate.set()

    names = ("load {name: late version: 1}", "load {name: late version: 2}")
    assert eventually(lambda: not any(t.name in names for t in threading.enumerate()))
    assert world.states("late") == {2: "AVAILABLE", 1: "AVAILABLE"}
    assert [path.name for path in world.engine.loads] == ["1", "2", "1"]


def test_one_slow_model_does_not_hold_up_another(world: World) -> None:
    write_version(world.base("slow"), 1, load_s=1)
    write_version(world.base("fast"), 1)

    world.serve(Latest(), "slow", "fast")

    assert world.becomes({1: "AVAILABLE"}, "fast")
    assert world.states("slow") == {1: "LOADING"}
    assert world.becomes({1: "AVAILABLE"}, "slow")


@pytest.mark.parametrize(("retries", "loads"), [(-1, 1), (0, 1), (2, 3)])
def test_failed_loads_are_tried_again_as_often_as_asked(
    tmp_path: Path, retries: int, loads: int
) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=retries, retry_s=0.01))
    write_version(world.base(), 1, fail="UNAVAILABLE")

    world.serve()

    assert world.becomes({1: "END"})
    assert len(world.engine.loads) == loads


def test_a_retry_loads_a_version_that_was_repaired(tmp_path: Path) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=500, retry_s=0.01))
    half = world.base() / "1"
    half.mkdir(parents=True)
    world.serve()
    assert eventually(lambda: len(world.engine.loads) > 2)
    assert world.states() == {1: "LOADING"}

    (half / "toy.json").write_text("{}")

    assert world.becomes({1: "AVAILABLE"})


def test_a_retry_loads_from_the_base_path_that_is_configured_now(tmp_path: Path) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=500, retry_s=0.01))
    (world.base() / "1").mkdir(parents=True)
    world.serve()
    assert eventually(lambda: len(world.engine.loads) > 2)

    write_version(world.base("mended"), 1)
    world.lifecycle.configure([ModelConfig("m", world.base("mended"))])

    assert world.becomes({1: "AVAILABLE"})


@pytest.mark.parametrize("retry_s", [60, (2**63 - 1) / 1e6])
def test_a_deleted_version_is_not_retried(tmp_path: Path, retry_s: float) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=5, retry_s=retry_s))
    broken = write_version(world.base(), 2, fail="INTERNAL")
    world.serve()
    assert eventually(lambda: len(world.engine.loads) == 1)

    shutil.rmtree(broken)
    world.poll()

    assert world.becomes({2: "END"})


def test_folders_are_polled_in_the_background(tmp_path: Path) -> None:
    world = World(tmp_path, LifecycleOptions(poll_s=0.02, max_retries=0))
    world.serve()
    world.lifecycle.start()

    write_version(world.base(), 1)

    assert world.becomes({1: "AVAILABLE"})
    world.lifecycle.stop()


@pytest.mark.parametrize(("poll_s", "states"), [(0, {1: "AVAILABLE"}), (-1, {})])
def test_polling_once_or_never(tmp_path: Path, poll_s: float, states: dict[int, str]) -> None:
    world = World(tmp_path, LifecycleOptions(poll_s=poll_s))
    write_version(world.base(), 1)
    world.serve()
    world.lifecycle.start()
    assert world.becomes(states)

    write_version(world.base(), 2)

    assert not eventually(lambda: world.states() != states, 0.2)


def ready(world: World) -> threading.Event:
    """Return an event that is set once the life cycle says that it is ready, or fails."""
    event = threading.Event()

    def wait() -> None:
        try:
            world.lifecycle.wait_until_ready()
        except Unknown as error:
            world.failure = error  # type: ignore[attr-defined]
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def test_the_start_waits_for_every_model(world: World) -> None:
    write_version(world.base("a"), 1)
    write_version(world.base("b"), 1, load_s=0.3)

    world.serve(Latest(), "a", "b")
    world.lifecycle.wait_until_ready()

    assert (world.states("a"), world.states("b")) == ({1: "AVAILABLE"}, {1: "AVAILABLE"})


def test_the_start_does_not_wait_for_a_model_without_versions(world: World) -> None:
    write_version(world.base("a"), 1)

    world.serve(Latest(), "a", "nowhere")

    assert ready(world).wait(60)


def test_with_no_version_at_all_the_start_waits_for_the_first(world: World) -> None:
    world.serve(Latest(), "a", "b")
    event = ready(world)
    assert not event.wait(0.2)

    write_version(world.base("b"), 1)
    world.poll()

    assert event.wait(60)


def test_where_models_may_be_unavailable_the_start_waits_for_no_first_version(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, LifecycleOptions(allow_unavailable=True))
    world.serve(Latest(), "a", "b")

    assert ready(world).wait(60)


def test_without_models_there_is_nothing_to_wait_for(world: World) -> None:
    world.lifecycle.configure([])

    assert ready(world).wait(60)


def test_a_version_that_cannot_be_loaded_ends_the_start(world: World) -> None:
    write_version(world.base("a"), 1)
    write_version(world.base("b"), 4, fail="DATA_LOSS")
    world.serve(Latest(), "a", "b")

    with pytest.raises(Unknown) as caught:
        world.lifecycle.wait_until_ready()

    assert caught.value.message == (
        "1 servable(s) did not become available:"
        " {{{name: b version: 4} due to error: DATA_LOSS: it was told to}, }"
    )


def test_a_failed_model_may_be_left_behind_while_another_one_loads(tmp_path: Path) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=0, allow_unavailable=True))
    write_version(world.base("bad"), 1, fail="DATA_LOSS")
    write_version(world.base("slow"), 1, load_s=0.3)
    world.serve(Latest(), "bad", "slow")

    world.lifecycle.wait_until_ready()

    assert (world.states("bad"), world.states("slow")) == ({1: "END"}, {1: "AVAILABLE"})


def test_a_load_without_a_thread_is_not_waited_for_where_models_may_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = lifecycle._start_thread

    def start_others(name: str, *work: Any) -> None:
        if "{name: bad version" in name:
            raise RuntimeError("can't start new thread")
        start(name, *work)

    monkeypatch.setattr(lifecycle, "_start_thread", start_others)
    options = LifecycleOptions(poll_s=0, allow_unavailable=True)
    world = World(tmp_path, options)
    for model in ("bad", "good"):
        write_version(world.base(model), 1)
    world.serve(Latest(), "bad", "good")

    assert ready(world).wait(60)


def test_a_start_in_which_every_model_fails_ends_also_where_models_may_fail(tmp_path: Path) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=0, allow_unavailable=True))
    for model in ("a", "b"):
        write_version(world.base(model), 1, fail="DATA_LOSS")
    world.serve(Latest(), "a", "b")

    with pytest.raises(Unknown, match=r"2 servable\(s\) did not become available"):
        world.lifecycle.wait_until_ready()


def test_one_good_version_is_enough_for_the_start(world: World) -> None:
    write_version(world.base(), 1)
    write_version(world.base(), 2, fail="DATA_LOSS")
    world.serve(All())

    world.lifecycle.wait_until_ready()

    assert world.becomes({1: "AVAILABLE", 2: "END"})


def test_the_start_does_not_wait_for_a_model_that_is_being_retried(tmp_path: Path) -> None:
    world = World(tmp_path, LifecycleOptions(max_retries=5, retry_s=60))
    write_version(world.base("good"), 1)
    write_version(world.base("bad"), 1, fail="INTERNAL")
    world.serve(Latest(), "good", "bad")

    assert ready(world).wait(60)

    assert world.states("bad") == {1: "LOADING"}
    world.lifecycle.stop()


def test_every_state_is_known() -> None:
    assert [state.value for state in State] == [
        "START",
        "LOADING",
        "AVAILABLE",
        "UNLOADING",
        "END",
    ]
