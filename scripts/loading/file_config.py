"""Read what a model file says about itself, without Keras and without running any of its code.

Both formats hold the model's configuration as JSON: an archive of Keras 2.12 and later (``.keras``)
in a file of its own, HDF5 in an attribute.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.errors import ScriptError

#: Names in HDF5 files that hold weights: an attribute of Keras 2, groups of Keras 3.
_WEIGHTS = {"layer_names", "layers", "_layer_checkpoint_dependencies", "vars"}


@dataclass(frozen=True, kw_only=True, slots=True)
class FileConfig:
    """What a model file says about its model."""

    config: Mapping[str, Any]
    """The configuration from which Keras builds the layers."""

    keras_version: str | None = None
    """Version of Keras that wrote the file; None where the file does not say."""

    training: Mapping[str, Any] | None = None
    """The arguments of ``compile``, if the file has them."""

    @property
    def major_version(self) -> int | None:
        """The first part of the version; None where the file does not say."""
        major = (self.keras_version or "").partition(".")[0]
        return int(major) if major.isdigit() else None

    @property
    def loss(self) -> str | None:
        """Name of the loss that the model was trained with, in lower case without separators."""
        return _loss_name((self.training or {}).get("loss"))


def read(path: Path) -> FileConfig:
    """Return the configuration in a ``.keras`` or ``.h5`` file, or raise ScriptError."""
    about = _of_archive(path) if path.suffix == ".keras" else _of_hdf5(path)
    for node in nodes(about.config):
        if node.get("class_name") == "TFSMLayer":
            folder = _dict(node.get("config")).get("filepath", "elsewhere")
            raise ScriptError(
                f"{path} holds no weights: its TFSMLayer refers to the SavedModel {folder}. "
                "Name the folder above that SavedModel in models.toml, with input and labels."
            )
    return about


def nodes(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield all objects in a JSON value, outer ones first."""
    if isinstance(value, Mapping):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from nodes(part)


def _of_archive(path: Path) -> FileConfig:
    try:
        with zipfile.ZipFile(path) as archive:
            config = _json(archive.read("config.json"))
            has_metadata = "metadata.json" in archive.namelist()
            metadata = _json(archive.read("metadata.json")) if has_metadata else {}
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError) as error:
        raise _damaged(path, ".keras") from error
    except RuntimeError as error:  # it has a password, or Python lacks the compression method
        raise ScriptError(
            f"Keras cannot load {path}: its zip archive cannot be unpacked ({error})."
        ) from error
    return FileConfig(
        # Keras leaves the loss, metrics and optimizer of the training alone, as load_model is
        # called with compile=False; classes of other packages are frequent among them.
        config={key: value for key, value in config.items() if key != "compile_config"},
        keras_version=_text(metadata.get("keras_version")),
        training=_dict(config.get("compile_config")),
    )


def _of_hdf5(path: Path) -> FileConfig:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            attributes, names = dict(file.attrs), {*file.attrs, *file}
        if "model_config" not in attributes:
            raise ScriptError(f"Keras cannot load {path}: {_without_config(names)}.")
        config = _json(attributes["model_config"])
        training = _json(attributes.get("training_config", b"{}"))
    except (OSError, ValueError) as error:
        if "unable to lock file" in str(error):
            raise ScriptError(
                f"Keras cannot load {path}: the file cannot be locked, as another program writes "
                "it or its file system has no locks; export a copy of it on a local disk."
            ) from error
        raise _damaged(path, "HDF5") from error
    version = _text(attributes.get("keras_version"))
    return FileConfig(config=config, keras_version=version, training=training)


def _without_config(names: set[str]) -> str:
    if names & _WEIGHTS:
        return "it holds weights only; load them into the model and save the whole model"
    return "it is an HDF5 file, but not of a Keras model"


def _damaged(path: Path, kind: str) -> ScriptError:
    return ScriptError(
        f"Keras cannot load {path}: the {kind} file is damaged, perhaps cut short; copy it again."
    )


def _json(text: bytes | str) -> Mapping[str, Any]:
    return _dict(json.loads(text))


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _loss_name(loss: object) -> str | None:
    """Return the name, however it is written: ``mse``, ``MeanSquaredError`` or an object."""
    if isinstance(loss, Mapping):
        inner = loss.get("config")
        loss = loss.get("class_name") if not isinstance(inner, str) else inner
    return loss.replace("_", "").lower() if isinstance(loss, str) else None
