"""Preparation of the models by make run: no more work than due, and errors without a traceback."""

from __future__ import annotations

import hashlib
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import prepare_models
from scripts.download_inceptionv3_model import inception_v3
from scripts.export_saved_model import export
from scripts.imagenet_weights import WeightsFile
from scripts.prepare_models import (
    RETRY_S,
    Newest,
    Paths,
    Task,
    due,
    newest_version_state,
    prepare,
)
from scripts.spec_of_model import SpecOptions, spec_of
from scripts.version_folders import versions
from tests.listening import folder_site
from tests.scripts.models import classifier

SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty project on a machine whose weights address refuses connections."""
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
    )


def write_version(base_path: Path, number: int, spec: ModelSpec) -> None:
    """Write the part of a version that prepare_models reads."""
    file = base_path / str(number) / SPEC_FILE
    file.parent.mkdir(parents=True)
    file.write_text(spec.to_json(), encoding="utf-8")


@pytest.mark.parametrize(
    ("newest", "file_ready", "attempt_age_s", "task"),
    [
        (Newest.MISSING, False, math.inf, Task.EXPORT_FIRST),
        (Newest.MISSING, False, 5.0, Task.EXPORT_FIRST),
        (Newest.MISSING, True, math.inf, Task.EXPORT_FILE),
        (Newest.UNTRAINED, True, 5.0, Task.EXPORT_FILE),
        (Newest.UNTRAINED, False, math.inf, Task.RETRY_DOWNLOAD),
        (Newest.UNTRAINED, False, RETRY_S, Task.RETRY_DOWNLOAD),
        (Newest.UNTRAINED, False, RETRY_S - 1, Task.NOTHING),
        (Newest.UNTRAINED, False, 0.0, Task.NOTHING),
        (Newest.UNTRAINED, False, -60.0, Task.RETRY_DOWNLOAD),
        (Newest.TRAINED, False, math.inf, Task.NOTHING),
        (Newest.TRAINED, True, math.inf, Task.NOTHING),
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


def test_a_refused_retry_is_one_line_and_waits_for_tomorrow(
    paths: Paths, spec: ModelSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    write_version(paths.base_path, 1, replace(spec, trained=False))

    tasks = [prepare(paths), prepare(paths)]

    said = capsys.readouterr()
    assert tasks == [Task.RETRY_DOWNLOAD, Task.NOTHING]
    assert said.out == (
        "The ImageNet weights could not be downloaded from 127.0.0.1 (Connection refused), "
        "so ImageClassifier is untrained and its answers carry a warning.\n"
    )
    assert versions(paths.base_path) == [1]


def test_after_a_day_the_download_is_retried(paths: Paths, spec: ModelSpec) -> None:
    write_version(paths.base_path, 1, replace(spec, trained=False))
    prepare(paths)
    yesterday = time.time() - RETRY_S - 1
    os.utime(paths.attempt_file, (yesterday, yesterday))

    assert prepare(paths) is Task.RETRY_DOWNLOAD
    assert time.time() - paths.attempt_file.stat().st_mtime < 60


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
    paths: Paths, tensorflow: None
) -> None:
    classifier().save(paths.model_file)
    untrained = classifier(name="tiny_untrained")
    spec, _ = spec_of(untrained, SpecOptions())
    export(untrained, paths.base_path, spec)

    tasks = [prepare(paths), prepare(paths)]

    assert tasks == [Task.EXPORT_FILE, Task.NOTHING]
    assert versions(paths.base_path) == [1, 2]
    assert newest_version_state(paths.base_path) is Newest.TRAINED
    assert not paths.attempt_file.exists()


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
def test_the_first_run_offline_exports_inception_marked_untrained(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    task = prepare(paths)

    lines = capsys.readouterr().out.splitlines()
    assert task is Task.EXPORT_FIRST
    assert lines[0].startswith("The ImageNet weights could not be downloaded from 127.0.0.1")
    assert lines[1:] == [f"exported inception_v3_untrained to {paths.base_path / '1'}"]
    spec = ModelSpec.from_json((paths.base_path / "1" / SPEC_FILE).read_bytes())
    assert (spec.trained, spec.input.height, spec.input.scale) == (False, 299, "tf")
    assert spec.labels[817] == ("n04285008", "sports_car")
    pixels = tf.saved_model.load(str(paths.base_path / "1")).signatures["pixels"]
    scores = pixels(pixels=tf.constant([bytes(299 * 299 * 3)]))["scores"]
    assert scores.shape == (1, 1000)
    assert float(tf.reduce_sum(scores)) == pytest.approx(1)


@pytest.mark.tensorflow
@pytest.mark.slow
@SAVING
def test_downloaded_weights_become_the_next_version(
    paths: Paths, spec: ModelSpec, tmp_path: Path, tensorflow: None
) -> None:
    """Over real HTTP, with InceptionV3's real file format; only the values differ."""
    write_version(paths.base_path, 4, replace(spec, trained=False))
    inception_v3("none", WeightsFile()).save(tmp_path / "weights.h5")
    md5 = hashlib.md5((tmp_path / "weights.h5").read_bytes(), usedforsecurity=False).hexdigest()

    with folder_site(tmp_path) as url:
        tasks = [
            prepare(replace(paths, weights=WeightsFile(f"{url}/weights.h5", md5))) for _ in range(2)
        ]

    described = ModelSpec.from_json((paths.base_path / "5" / SPEC_FILE).read_bytes())
    assert tasks == [Task.RETRY_DOWNLOAD, Task.NOTHING]
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
