from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from model_server.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, Unknown
from model_server.models.config_reload import Configuration
from model_server.models.lifecycle import Lifecycle, LifecycleOptions
from model_server.models.registry import ModelRequest, Registry
from model_server.models.versions import All, ModelConfig
from serving_api.messages import message
from tests.model_server.toy import ToyEngine, write_version
from tests.waiting import eventually


class World:
    """A configuration over one model with two versions."""

    def __init__(self, root: Path, *, labels_before_load: bool = False) -> None:
        self.base = root / "m"
        engine = ToyEngine()
        self.registry = Registry()
        self.lifecycle = Lifecycle(self.registry, engine.load, LifecycleOptions(max_retries=0))
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
        "\n",
        "# nothing",
        "nonsense {",
        "model_config_list { config { name: 'm' } }",
        FILE.format(name="m", base=r"/a\000b"),
    ],
)
def test_a_bad_file_changes_nothing(world: World, followed: Path, text: str) -> None:
    assert eventually(lambda: world.registry.is_available("m", 2))

    followed.write_text(text)

    assert not eventually(lambda: not world.registry.is_available("m", 2), 0.2)


def test_a_file_with_an_empty_list_removes_all_models(world: World, followed: Path) -> None:
    assert eventually(lambda: world.registry.is_available("m", 2))

    followed.write_text("model_config_list {}")

    assert eventually(lambda: not world.registry.is_available("m", 2))


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
        assert failed.wait(60)
    followed.write_text(FILE.format(name="other", base=world.base))

    assert eventually(lambda: world.registry.is_available("other", 2))


def model_list(*models: tuple[str, Path], **more: Any) -> Any:
    config_list = message("ModelConfigList")()
    for name, base in models:
        config = config_list.config.add(
            name=name, base_path=str(base), model_platform="tensorflow", **more
        )
        config.SetInParent()
    return config_list


def wanted() -> bool:
    return True


@pytest.fixture
def world_with_labels(tmp_path: Path) -> World:
    world = World(tmp_path, labels_before_load=True)
    world.apply(stable=1)
    world.wait()
    return world


def test_a_reload_returns_when_new_models_serve_and_old_ones_are_unloaded(
    world_with_labels: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = world_with_labels
    write_version(tmp_path / "new", 1)

    with caplog.at_level(logging.INFO):
        world.configuration.reload(model_list(("new", tmp_path / "new")), 60, wanted)

    assert world.registry.is_available("new", 1)
    assert eventually(lambda: not world.registry.is_available("m", 2))
    assert world.registry.labels("m") == {}
    assert [config.name for config in world.configuration.models] == ["new"]
    assert "The configuration has been replaced: added new; removed m" in caplog.text


def test_a_model_comes_back_after_it_was_left_out(world_with_labels: World) -> None:
    world = world_with_labels
    world.configuration.reload(model_list(), 60, wanted)
    world.configuration.reload(model_list(("m", world.base)), 60, wanted)

    assert world.registry.is_available("m", 2)


@pytest.mark.parametrize(
    ("models", "more", "text"),
    [
        (("m", "m"), {}, "Illegal to list model m multiple times in config list"),
        (("m",), {"base_path": "rel"}, "absolute path or URI; got base_path()=rel"),
        (("m",), {"base_path": ""}, "absolute path or URI; got base_path()="),
        (
            ("m",),
            {"model_platform": "tflite"},
            "Illegal to change a model's platform. For model m platform was tensorflow and new"
            " platform requested is tflite",
        ),
        (("n",), {"model_platform": "tflite"}, "Model n requests unsupported platform tflite"),
        (
            ("n",),
            {"model_platform": "", "model_type": 2},
            "ModelServerConfig::model_type choice 2 not supported.",
        ),
    ],
)
def test_a_refused_reload_changes_nothing(
    world_with_labels: World, models: tuple[str, ...], more: dict[str, Any], text: str
) -> None:
    world = world_with_labels
    config_list = model_list(*((name, world.base) for name in models))
    for config in config_list.config:
        for field, value in more.items():
            setattr(config, field, value)

    with pytest.raises(InvalidArgument) as caught:
        world.configuration.reload(config_list, 60, wanted)

    assert text in caught.value.message
    assert world.labelled("stable") == 1
    assert [config.name for config in world.configuration.models] == ["m"]


def test_a_configuration_in_force_is_reported_to_the_request_log(
    world: World, tmp_path: Path
) -> None:
    told: list[list[str]] = []
    configuration = Configuration(
        world.registry,
        world.lifecycle,
        labels_before_load=False,
        on_change=lambda configs: told.append([config.name for config in configs]),
    )

    configuration.apply([ModelConfig("m", world.base)])
    with pytest.raises(InvalidArgument):
        configuration.reload(model_list(("m", Path("relative"))), 60, wanted)
    configuration.reload(model_list(), 60, wanted)

    assert told == [["m"], []]


def test_a_reload_tells_which_model_failed(world: World, tmp_path: Path) -> None:
    write_version(tmp_path / "bad", 1, fail="DATA_LOSS")

    with pytest.raises(Unknown) as caught:
        world.configuration.reload(model_list(("bad", tmp_path / "bad")), 60, wanted)

    assert caught.value.message == (
        "1 model(s) did not become available: {{{name: bad version: 1} due to error:"
        " DATA_LOSS: it was told to}, }"
    )


def test_a_reload_does_not_wait_for_a_model_that_another_one_removes(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    configs = model_list(("empty", tmp_path / "empty"))
    with ThreadPoolExecutor(1) as thread:
        reload = thread.submit(world.configuration.reload, configs, math.inf, wanted)
        assert eventually(lambda: [c.name for c in world.configuration.models] == ["empty"])

        world.configuration.apply([])

        try:
            assert reload.exception(60) is None
        finally:
            world.configuration.stop()


def test_a_reload_ends_at_its_deadline_and_locks_nobody_out(world: World, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    missing = model_list(("m", world.base), ("empty", tmp_path / "empty"))
    missing.config[0].model_version_policy.specific.versions.append(9)

    with pytest.raises(DeadlineExceeded) as caught:
        world.configuration.reload(missing, 0.05, wanted)

    assert caught.value.message == (
        "The configuration is in force, but 2 model(s) cannot serve yet:"
        " m: no version found under the base path, empty: no version found under the base path"
    )
    with pytest.raises(DeadlineExceeded):  # the caller has hung up
        world.configuration.reload(model_list(("other", tmp_path / "empty")), 99, lambda: False)
    world.configuration.reload(model_list(("m", world.base)), 60, wanted)
    assert world.registry.is_available("m", 2)
