"""Load a model file with the Keras that can read it; every failure is one sentence.

Keras 3 loads what Keras 3 wrote. Files of Keras 2 and 1 are loaded by tf_keras, in a process of its
own (``in_fitting_process``); without tf_keras Keras 3 tries them, and reads some.
"""

from __future__ import annotations

import importlib
import re
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from model_catalog.installation import install_command
from scripts import model_files, quiet_tensorflow
from scripts.errors import ScriptError
from scripts.loading import (
    code_in_files,
    file_config,
    keras1_files,
    keras2_layers,
    teachable_machine,
    tf_keras_process,
)
from scripts.loading.file_config import FileConfig

if TYPE_CHECKING:
    import keras

Result = TypeVar("Result")

#: Longest part of Keras's own message that is shown.
_REASON = 100
#: What stands before the cause in Keras's messages about a configuration, which they repeat.
_CAUSE = "Exception encountered: "
#: Beginnings of Keras's messages about a class or function that it does not know.
_UNKNOWN = re.compile(
    r"(?:Could not locate|Unknown) (?:class|function|object|layer|initializer|\w+ function)"
    r":? '?\"?(?:\w+>)?(\w+)"
)


@dataclass(frozen=True, slots=True)
class KerasFile:
    """A loaded model, and what its file says about it."""

    model: keras.Model
    about: FileConfig


def in_fitting_process(path: Path, work: Callable[[], Result]) -> Result:
    """Return the result of the work on a model file; with tf_keras in a process of its own.

    The work must be picklable. It is done in this process unless the file is one for tf_keras.
    """
    if tf_keras_process.is_active() or teachable_machine.is_saved_model(path):
        return work()
    with model_files.named_by_content(path) as named:
        is_old = is_for_tf_keras(file_config.read(named))
    if not is_old:
        try:
            return work()
        except tf_keras_process.NeedsTfKeras:
            pass  # outside of the handler, so that an error of tf_keras stands alone
    return tf_keras_process.run(work)


def is_for_tf_keras(about: FileConfig) -> bool:
    """Tell whether the file is loaded by tf_keras from the start."""
    return about.major_version in {1, 2} and tf_keras_process.is_installed()


def load(path: Path, *, trust: bool = False, custom: Path | None = None) -> KerasFile:
    """Load a ``.keras`` or ``.h5`` file with the Keras of this process, or raise ScriptError.

    The content of the file counts, not its name. ``trust`` allows code in the file, ``custom`` is a
    Python file with the classes and functions that the model file names.
    """
    if custom is not None and not trust:
        raise ScriptError(f"--custom runs {custom}; if you trust that file, add --trust.")
    with model_files.named_by_content(path) as named:
        about = file_config.read(named)
        if not trust:
            code_in_files.require_trust(path, about)
        package = _keras()
        objects = code_in_files.custom_objects(custom, about)
        try:
            model = _loaded(package, named, about, objects, trust)
        except Exception as error:  # whatever Keras raises for the content of a file
            raise _failure(path, about, error) from error
    return KerasFile(model, about)


def _keras() -> ModuleType:
    name = "tf_keras" if tf_keras_process.is_active() else "keras"
    quiet_tensorflow.start(name)
    return importlib.import_module(name)


def _loaded(
    package: ModuleType, path: Path, about: FileConfig, objects: dict[str, Any], trust: bool
) -> keras.Model:
    options = {"compile": False, "safe_mode": not trust}
    if package.__name__ == "keras" and path.suffix != ".keras":
        objects = keras2_layers.layers() | objects
    if keras1_files.is_of_keras1(about):
        with tempfile.TemporaryDirectory() as folder:
            copy = keras1_files.in_keras2_form(path, about, Path(folder))
            return package.models.load_model(copy, custom_objects=objects, **options)
    return package.models.load_model(path, custom_objects=objects, **options)


def _failure(path: Path, about: FileConfig, error: Exception) -> ScriptError:
    """Return the error whose sentence says the cause and the way out."""
    text = " ".join(str(error).split()) or type(error).__name__
    unknown = _UNKNOWN.search(text)
    if "bad marshal data" in text:
        return ScriptError(
            f"{path} holds a Lambda layer as code of another Python version; load it with that "
            "version, replace the Lambda layer by a layer of Keras, and save it again."
        )
    # The class of a file of Keras 2 may be one that only Keras 2 has.
    if unknown is not None and about.major_version == 3 and model_files.suffix_of(path) == ".h5":
        return ScriptError(
            f"{path} uses {unknown[1]}, which Keras 3 cannot read from HDF5. If it is one of "
            "keras.ops, save the model as a .keras file; if it is your own, hand in the file that "
            "defines it with --custom FILE.py --trust, which runs that file."
        )
    if unknown is not None and (about.major_version == 3 or tf_keras_process.is_active()):
        return ScriptError(
            f"{path} uses {unknown[1]}, which is not part of Keras; hand in the file that defines "
            "it with --custom FILE.py --trust, which runs that file."
        )
    cause = text.rpartition(_CAUSE)[2]
    return _unreadable(path, about, textwrap.shorten(cause, _REASON, placeholder=" …"))


def _unreadable(path: Path, about: FileConfig, reason: str) -> ScriptError:
    installed = str(_keras().__version__)
    if about.major_version == 3 and _release(about.keras_version) > _release(installed):
        return ScriptError(
            f"Keras cannot load {path}: Keras {about.keras_version} wrote it, and the installed "
            f"Keras {installed} does not understand it ({reason}). Install Keras "
            f"{about.keras_version}, or save the model with Keras {installed}."
        )
    if about.major_version == 3 or tf_keras_process.is_active():
        return ScriptError(f"Keras cannot load {path}: {reason}")
    wrote = f"Keras {about.keras_version}" if about.keras_version else "an old version of Keras"
    if tf_keras_process.is_installed():
        return tf_keras_process.NeedsTfKeras(f"{wrote} wrote {path}, for which Keras 3 is too new.")
    return ScriptError(
        f"Keras cannot load {path}: {wrote} wrote it, and Keras 3 does not understand it "
        f"({reason}). Install tf_keras, which does: {install_command(tf_keras_process.EXTRA)}"
    )


def _release(text: str | None) -> tuple[int, ...]:
    """Return the first two numbers of a version, which change with what Keras can read."""
    return tuple(map(int, re.findall(r"\d+", text or "")[:2]))
