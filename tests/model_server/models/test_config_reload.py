from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_server.errors import FailedPrecondition
from model_server.models.config_reload import Configuration
from model_server.models.lifecycle import Lifecycle, LifecycleOptions
from model_server.models.registry import ModelRequest, Registry
from model_server.models.versions import All, ModelConfig
from tests.model_server.harness import eventually
from tests.model_server.toy import ToyEngine, write_version


class World:
    """A configuration over one model with two versions."""

    def __init__(self, root: Path, *, labels_before_load: bool = False) -> None:
        self.base = root / "m"
        engine = ToyEngine()
        self.registry = Registry()
        self.lifecycle = Lifecycle(
            self.registry, lambda _, path: engine.load(path), LifecycleOptions(max_retries=0)
        )
        self.configuration = Configuration(
            self.registry, self.lifecycle, labels_before_load=labels_before_load
        )
        for version in (1, 2):
            write_version(self.base, version)

    def apply(self, **labels: int) -> None:
        self.configuration.apply([ModelConfig("m", self.base, All(), labels)])

    def wait(self) -> None:
        assert eventually(lambda: all(self.registry.is_available("m", v) for v in (1, 2)))

    def labelled(self, label: str) -> int:
        with self.registry.acquire(ModelRequest("m", label=label)) as handle:
            return handle.version


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_first_label_needs_a_loaded_version(world: World) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        world.apply(stable=1)

    assert caught.value.message == (
        "Request to assign label to version 1 of model m,"
        " which is not currently available for inference"
    )
    assert world.registry.servables("m") == []


def test_once_versions_are_loaded_labels_can_be_set_moved_and_dropped(world: World) -> None:
    world.apply()
    world.wait()

    world.apply(stable=1, canary=2)
    assert (world.labelled("stable"), world.labelled("canary")) == (1, 2)
    world.apply(stable=2)

    assert world.labelled("stable") == 2
    assert world.registry.labels("m") == {"stable": 2}


def test_with_the_flag_only_new_labels_may_point_at_versions_that_are_not_loaded(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, labels_before_load=True)
    world.apply(stable=1)
    world.wait()

    with pytest.raises(FailedPrecondition):
        world.apply(stable=9)

    assert world.labelled("stable") == 1


FILE = """model_config_list {{ config {{ name: "{name}" base_path: "{base}"
  model_platform: "tensorflow" }} }}"""


@pytest.fixture
def followed(world: World, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "models.config"
    path.write_text(FILE.format(name="m", base=world.base))
    world.configuration.watch_file(path, 0.02)
    yield path
    world.configuration.stop()
    world.lifecycle.stop()


def test_a_changed_file_is_applied(world: World, followed: Path) -> None:
    assert eventually(lambda: world.registry.is_available("m", 2))

    followed.write_text(FILE.format(name="other", base=world.base))

    assert eventually(lambda: world.registry.is_available("other", 2))
    assert eventually(lambda: not world.registry.is_available("m", 2))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense {",
        "model_config_list { config { name: 'm' } }",
        FILE.format(name="m", base=r"/a\000b"),
    ],
)
def test_a_bad_file_changes_nothing(world: World, followed: Path, text: str) -> None:
    assert eventually(lambda: world.registry.is_available("m", 2))

    followed.write_text(text)

    assert not eventually(lambda: not world.registry.is_available("m", 2), 0.2)


@pytest.mark.parametrize("text", ["nonsense {", FILE.format(name="m", base=r"/a\000b")])
def test_after_a_bad_file_a_good_one_is_applied(
    world: World, followed: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    followed.write_text(text)
    assert eventually(lambda: "is not applied" in caplog.text)

    followed.write_text(FILE.format(name="other", base=world.base))

    assert eventually(lambda: world.registry.is_available("other", 2))


def test_an_unexpected_error_does_not_end_the_polling_of_the_file(
    world: World, followed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def defect(_: object) -> None:
        failed.set()
        raise ValueError

    with monkeypatch.context() as patch:
        patch.setattr(world.lifecycle, "configure", defect)
        assert failed.wait(10)
    followed.write_text(FILE.format(name="other", base=world.base))

    assert eventually(lambda: world.registry.is_available("other", 2))
