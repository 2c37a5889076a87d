"""A model file is what its content is, whatever its suffix says; other content is named."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_catalog.installation import install_command
from scripts import keras_models
from scripts.errors import ScriptError
from scripts.loading import tf_keras_process
from scripts.model_files import named_by_content, suffix_of
from tests.scripts.models import classifier

KERAS = [
    pytest.mark.tensorflow,
    pytest.mark.usefixtures("tensorflow"),
    # Keras saves variables by a conversion that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]
HDF5 = b"\x89HDF\r\n\x1a\n"


def keras3(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that loads models."""
    for mark in KERAS:
        test = mark(test)
    return test


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "")
    return path


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.hdf5", "model", "model.pb"])
def test_the_content_tells_the_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HDF5 + bytes(100))
    assert suffix_of(tmp_path / name) == ".h5"

    archive(tmp_path / name, "config.json", "model.weights.h5")
    assert suffix_of(tmp_path / name) == ".keras"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "Git LFS"),
        (b"/annex/objects/SHA256E-s9--4d7a.keras\n", "git-annex pointer"),
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"\n <html>", "web page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x80\x02}q\x00", "PyTorch"),
        (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
        (b'{"class_name": "Sequential"}', "is not a model file"),
        (b"PK\x03\x04 and no more", "damaged .keras file, perhaps cut short"),
        (HDF5[:5], "is not a model file"),
    ],
)
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_what_is_no_model_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ScriptError, match=f"{name} is .*{said}|{name} {said}"):
        suffix_of(tmp_path / name)


def test_an_archive_says_which_models_are_inside(tmp_path: Path) -> None:
    teachable = archive(tmp_path / "a.keras", "keras_model.h5", "labels.txt")
    other = archive(tmp_path / "b.keras", "data.pkl")

    with pytest.raises(ScriptError, match="with keras_model.h5 inside; unpack it"):
        suffix_of(teachable)
    with pytest.raises(ScriptError, match="a zip archive, but not of Keras; allowed"):
        suffix_of(other)


def test_an_archive_that_was_unpacked_and_zipped_with_its_folder_says_so(tmp_path: Path) -> None:
    """A browser may unpack a download, and a file manager zips the folder."""
    again = archive(tmp_path / "m.keras", "m/config.json", "m/metadata.json", "m/model.weights.h5")

    with pytest.raises(ScriptError, match=r"in a folder; .* zip -r ../model.keras \."):
        suffix_of(again)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["saved_model.pb"], "with a SavedModel, which needs no export"),
        (["config.json", "model.weights.h5"], "zip them again"),
        ([], "is a folder; allowed are"),
    ],
)
def test_a_folder_is_named(tmp_path: Path, files: list[str], said: str) -> None:
    for name in files:
        (tmp_path / name).touch()

    with pytest.raises(ScriptError, match=said):
        suffix_of(tmp_path)


def test_a_fitting_name_is_kept_and_another_is_lent(tmp_path: Path) -> None:
    for name in ("a.h5", "b.hdf5", "c.keras"):
        (tmp_path / name).write_bytes(HDF5)

    for name in ("a.h5", "b.hdf5"):
        with named_by_content(tmp_path / name) as named:
            assert named == tmp_path / name
    with named_by_content(tmp_path / "c.keras") as named:
        assert named.name == "c.h5"
        assert named.read_bytes() == HDF5
    assert not named.parent.exists()


@keras3
@pytest.mark.parametrize(("saved", "name"), [("m.h5", "m.keras"), ("m.keras", "m.h5")])
def test_a_model_under_another_suffix_is_the_same_model(
    tmp_path: Path, saved: str, name: str
) -> None:
    model = classifier()
    model.save(tmp_path / saved)
    (tmp_path / "other").mkdir()
    shutil.move(tmp_path / saved, tmp_path / "other" / name)

    loaded = load(tmp_path / "other" / name)

    assert_same(loaded, model)


@keras3
def test_weights_alone_are_named(tmp_path: Path) -> None:
    classifier().save_weights(tmp_path / "m.weights.h5")

    with pytest.raises(ScriptError, match="it holds weights only"):
        load(tmp_path / "m.weights.h5")


@keras3
@pytest.mark.parametrize("kind", ["DepthwiseConv2D", "SeparableConv2D"])
def test_convolutions_of_keras_2_load(tmp_path: Path, kind: str) -> None:
    model = classifier(convolution(kind))
    write_as_keras_2(model, tmp_path / "m.h5", {"groups": 1, "kernel_regularizer": None})

    assert_same(load(tmp_path / "m.h5"), model)


@keras3
def test_what_keras_3_cannot_read_of_keras_2_has_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf_keras_process, "is_installed", lambda: False)
    model = classifier(convolution("DepthwiseConv2D"))
    write_as_keras_2(model, tmp_path / "m.h5", {"groups": 3})

    with pytest.raises(ScriptError) as refused:
        load(tmp_path / "m.h5")

    text = str(refused.value)
    assert "Keras 2.15.0 wrote it, and Keras 3 does not understand it" in text
    assert text.endswith("Install tf_keras, which does: " + install_command("keras2"))
    assert len(text.replace(str(tmp_path), "")) < 420


@keras3
def test_a_file_of_a_newer_keras_names_both_versions_and_the_cause(tmp_path: Path) -> None:
    import keras

    classifier().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    config["config"]["layers"][-1]["config"]["sharding"] = None
    members["config.json"] = json.dumps(config).encode()
    members["metadata.json"] = b'{"keras_version": "3.999.0"}'
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)

    with pytest.raises(ScriptError) as refused:
        load(tmp_path / "m.keras")

    text = str(refused.value)
    assert f"Keras 3.999.0 wrote it, and the installed Keras {keras.__version__} does not" in text
    assert "sharding" in text
    assert text.endswith(f"or save the model with Keras {keras.__version__}.")


@keras3
def test_the_loss_and_metrics_of_the_training_need_no_trust(tmp_path: Path) -> None:
    import keras

    class OwnLoss(keras.losses.Loss):  # type: ignore[misc]  # keras has no types
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean(y_true - y_pred, axis=-1)

    model = classifier()
    model.compile(loss=OwnLoss())
    model.save(tmp_path / "m.keras")

    assert_same(load(tmp_path / "m.keras"), model)


def convolution(kind: str) -> Any:
    import keras

    options = {"filters": 4} if kind == "SeparableConv2D" else {}
    return getattr(keras.layers, kind)(kernel_size=3, **options)


def write_as_keras_2(model: Any, path: Path, arguments: dict[str, object]) -> None:
    """Save the model with arguments that Keras 2 wrote for convolutions."""
    import h5py

    model.save(path)
    with h5py.File(path, "a") as file:
        document = json.loads(file.attrs["model_config"])
        for layer in document["config"]["layers"]:
            if "Conv" in layer["class_name"]:
                layer["config"] |= arguments
        file.attrs["model_config"] = json.dumps(document)
        file.attrs["keras_version"] = "2.15.0"


def load(path: Path) -> Any:
    return keras_models.load_file(path, keras_models.LoadOptions()).model


def assert_same(loaded: Any, model: Any) -> None:
    images = np.random.default_rng(0).random((2, 6, 5, 3), np.float32)
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)
