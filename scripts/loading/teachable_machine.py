"""Read what Teachable Machine exports: a folder or zip archive with a model and ``labels.txt``.

Its export for Keras has the model as ``keras_model.h5``, that for TensorFlow as the SavedModel
``model.savedmodel``. Images are prepared as in the sample code that it shows beside the export.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from scripts.errors import ScriptError

if TYPE_CHECKING:
    import keras

_H5, _SAVED_MODEL, _LABELS = "keras_model.h5", "model.savedmodel", "labels.txt"

#: How the sample code prepares an image: ``ImageOps.fit`` with LANCZOS, then x / 127.5 - 1.
PREPARATION = {"interpolation": "lanczos", "fit": "crop", "scale": "tf"}


@dataclass(frozen=True, slots=True)
class Export:
    """The files of one export."""

    model: Path
    """An HDF5 file, or the folder of a SavedModel."""

    labels: Path


@contextmanager
def opened(path: Path) -> Iterator[Export | None]:
    """Yield the export at a path, unpacked if it is an archive; None if it is something else."""
    names = _members(path)
    if not names:
        yield _in_folder(whole(path))
        return
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            for name in names:
                archive.extract(name, folder)
        yield next(filter(None, map(_in_folder, [Path(folder), *_folders(Path(folder))])), None)


def is_export(path: Path) -> bool:
    """Tell whether the path is an export of Teachable Machine, without unpacking it."""
    return bool(_members(path)) or _in_folder(whole(path)) is not None


def whole(path: Path) -> Path:
    """Return the folder or archive of the export; its model file stands for its folder."""
    return path.absolute().parent if path.name.lower() == _H5 else path


def is_saved_model(path: Path) -> bool:
    """Tell whether the path is the SavedModel in an export of Teachable Machine."""
    return path.is_dir() and path.name.lower() == _SAVED_MODEL


def _in_folder(folder: Path) -> Export | None:
    if not folder.is_dir():
        return None
    files = {file.name.lower(): file for file in folder.iterdir()}
    if _LABELS not in files:
        return None
    saved_model = files.get(_SAVED_MODEL)
    if _H5 in files:
        return Export(files[_H5], files[_LABELS])
    if saved_model is not None and (saved_model / "saved_model.pb").is_file():
        return Export(saved_model, files[_LABELS])
    return None


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _members(path: Path) -> list[str]:
    """Return the names of the files of an export in an archive; none if it is another file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []
    wanted = [name for name in names if _is_wanted(PurePosixPath(name.lower()))]
    has_labels = any(PurePosixPath(name.lower()).name == _LABELS for name in wanted)
    return wanted if has_labels and len(wanted) > 1 else []


def _is_wanted(path: PurePosixPath) -> bool:
    inside = len(path.parts) <= 2 and path.name in {_H5, _LABELS}
    return inside or _SAVED_MODEL in path.parts[:2]


def saved_model_as_keras(folder: Path) -> keras.Model:
    """Return a Keras model that calls the SavedModel's signature ``serving_default``."""
    import keras

    try:
        layer = keras.layers.TFSMLayer(str(folder), call_endpoint="serving_default")
        (tensor,) = layer.call_endpoint_fn.structured_input_signature[1].values()
        picture = keras.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype.name)
        (scores,) = layer(picture).values()
    except Exception as error:  # whatever TensorFlow raises for the content of the files
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ScriptError(f"TensorFlow cannot load {folder}: {reason}") from error
    return keras.Model(picture, scores, name=folder.parent.name or "model")
