"""The doctor reads what SavedModels of TensorFlow and Keras do to their input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model_catalog.model_entry import ModelEntry
from model_catalog.version_checks import scaling_faults
from scripts import doctor_model, quiet_tensorflow
from tests.graphs import node, saved_model
from tests.scripts.manual import manual_commands

pytestmark = pytest.mark.tensorflow

Doctor = Callable[..., str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with SavedModels that scale their pixels in several ways, or not."""
    quiet_tensorflow.start()
    import keras
    import tensorflow as tf
    from keras import layers

    folder = tmp_path_factory.mktemp("models")
    heads = {
        "resized": [layers.Resizing(6, 6, name="a"), layers.Rescaling(1 / 127.5, -1, name="b")],
        "normalized": [layers.Normalization(mean=[100.0, 110, 120], variance=[2500.0] * 3)],
        "lambda": [layers.Lambda(lambda x: x / 255.0, name="own")],
    }
    for name, head in heads.items():
        tail = [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()]
        model = keras.Sequential([keras.Input((8, 8, 3)), *head, *tail])
        model.export(folder / name / "1", verbose=False)
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([3, 3, 3, 2]))
    image, file = tf.TensorSpec([None, 8, 8, 3]), tf.TensorSpec([None], tf.string)
    functions = {
        "shares": (lambda x: tf.nn.conv2d(x * 2.0 - 1.0, module.weight, 1, "SAME"), image),
        "plain": (lambda x: tf.nn.conv2d(x, module.weight, 1, "SAME"), image),
        "files": (
            lambda x: tf.map_fn(tf.io.decode_jpeg, x, fn_output_signature=tf.uint8),
            file,
        ),
    }
    for name, (function, spec) in functions.items():
        serve = tf.function(function, input_signature=[spec], autograph=False)
        tf.saved_model.save(module, str(folder / name / "1"), signatures=serve)
    return folder


@pytest.fixture
def doctor(models: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    def ask(name: str, *options: str) -> str:
        assert doctor_model.main([str(models / name / "1"), *options]) == 0
        return capsys.readouterr().out

    return ask


@pytest.mark.parametrize(
    ("name", "steps", "numbers"),
    [
        ("resized", "ResizeBilinear; Mul 0.00784314; AddV2 -1", "from -1 to 1"),
        ("normalized", "Sub 100, 110, 120; RealDiv 50", "from -2.4 to 3.1"),
        ("lambda", "RealDiv 255", "from 0 to 1"),
    ],
)
def test_scaling_inside_the_model_is_told(
    doctor: Doctor, models: Path, name: str, steps: str, numbers: str
) -> None:
    told = doctor(name, "--scale", "unit")
    entry = ModelEntry(name=name, base_path=models / name, input={"scale": "unit"})
    (fault,) = scaling_faults(entry)

    assert f"before its first layer (Conv2D): {steps}\n" in told
    assert numbers in told
    assert 'input = { scale = "none" }' in told
    assert "warning: with scale unit pixels are scaled twice" in told
    assert f"scales pixels itself ({steps})" in fault.text
    assert "warning" not in doctor(name, "--scale", "none")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shares", "for pixels that were scaled before"),
        ("plain", "its file does not tell the scale"),
        ("files", "scale has no effect"),
    ],
)
def test_what_the_graph_does_not_tell_is_said(
    doctor: Doctor, models: Path, name: str, words: str
) -> None:
    told = doctor(name, "--scale", "unit")
    entry = ModelEntry(name=name, base_path=models / name, input={"scale": "unit"})

    assert words in told
    assert "warning" not in told
    assert "Not seen: the values of variables" in told
    assert list(scaling_faults(entry)) == []


def test_the_command_of_the_manual(
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "flowers").symlink_to(models / "lambda")
    monkeypatch.chdir(tmp_path)
    (command,) = manual_commands("flowers/1", script="doctor_model.py")

    assert doctor_model.main(command) == 0
    assert "pixels are scaled twice" in capsys.readouterr().out


def test_loop_ends_what_is_seen(doctor: Doctor) -> None:
    assert "followed to TensorListFromTensor; what comes after it is not seen" in doctor("files")


def test_folder_without_the_signature_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(saved_model({}, [node("call", "Identity")]))

    assert doctor_model.main([str(tmp_path), "--signature", "other"]) == 1
    assert capsys.readouterr().err == f"{tmp_path} has no signature other with inputs.\n"
