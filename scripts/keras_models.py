"""Load a Keras classifier and read its properties: size, colour, classes, activation, scaling.

Nothing here writes files or knows command-line options. A property that the model does not state
has an ``assumption``, which callers print: wrong preprocessing gives wrong answers without any
error.
"""

from __future__ import annotations

import textwrap
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import activation, keras2_files, model_files
from scripts.errors import ScriptError

if TYPE_CHECKING:
    import keras

_COLORS = {1: "grayscale", 3: "rgb"}

#: Prefixes of the names of keras.applications models, and the mode of their preprocess_input. The
#: first match counts, since resnet50v2 also starts with resnet.
_SCALE_BY_NAME = {
    "inception": "tf",
    "xception": "tf",
    "mobilenet": "tf",
    "nasnet": "tf",
    "resnet50v2": "tf",
    "resnet101v2": "tf",
    "resnet152v2": "tf",
    "resnet": "caffe",
    "vgg": "caffe",
    "densenet": "torch",
    # This project's EfficientNet-Lite0; those of keras.applications scale their input themselves.
    "efficientnet_lite": "tf",
}
#: Suffix that the download script gives to the names of models with random weights.
UNTRAINED = "_untrained"
#: Kinds of layers that scale pixels inside a model.
_SCALING_LAYERS = {"Rescaling", "Normalization"}
#: Kinds of operations that a model contains when preprocess_input was called while it was built.
_ARITHMETIC = {"TrueDivide", "Divide", "Multiply", "Subtract", "Add", "GetItem"}


_LOAD_ERRORS = (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile)
#: Longest part of Keras's own message that is shown.
_REASON = 100


@dataclass(frozen=True, slots=True)
class ModelProperty:
    """One property of a model."""

    value: str

    assumption: str | None = None
    """Why the value was assumed; None where the model states it."""


def load(path: Path) -> keras.Model:
    """Load a ``.keras`` or ``.h5`` file of a picture classifier, or raise ScriptError.

    The content of the file counts, not its name.
    """
    with model_files.named_by_content(path) as named:
        try:
            model = _loaded(named)
        except _LOAD_ERRORS as error:
            raise ScriptError(f"Keras cannot load {path}: {_reason(named, error)}") from error
    check_classifier(model)
    return model


def _loaded(path: Path) -> keras.Model:
    import keras

    if path.suffix == ".keras":
        return keras.saving.load_model(path, compile=False)
    if not keras2_files.has_model(path):
        raise ValueError("it holds weights only; load them into the model and save the whole model")
    return keras.saving.load_model(path, compile=False, custom_objects=keras2_files.layers())


def _reason(path: Path, error: Exception) -> str:
    """Return the first line of the error, shortened; for a file of Keras 2 with a way out."""
    first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    reason = textwrap.shorten(first_line, _REASON, placeholder=" …")
    with suppress(OSError):
        if path.suffix == ".h5" and (version := keras2_files.written_by(path) or "").startswith(
            "2."
        ):
            return (
                f"Keras {version} wrote it, and Keras 3 does not understand it ({reason}). Export "
                "it with the package tf_keras instead, tf_keras.models.load_model(FILE, "
                'compile=False).export("NAME/1"), and name the folder NAME in models.toml, with '
                "input and labels"
            )
    return reason


def check_classifier(model: keras.Model) -> None:
    """Raise ScriptError unless the model turns one picture into one list of scores."""
    if not model.built or not model.inputs:
        raise ScriptError("The model was never built, so its input shape is unknown.")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ScriptError(
            f"The model has {len(model.inputs)} inputs and {len(model.outputs)} outputs; "
            "allowed is one picture in, one list of scores out."
        )
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or shape[0] is not None or shape[3] not in {1, 3, None}:
        raise ScriptError(
            f"The model's input has the shape {shape}; allowed are any number of pictures, "
            "(None, height, width, channels), with 1 or 3 channels."
        )
    output = tuple(model.outputs[0].shape)
    if len(output) != 2 or output[1] is None:
        raise ScriptError(f"The model's output has the shape {output}; allowed is (None, classes).")


def size_of(model: keras.Model) -> tuple[int | None, int | None]:
    """Return the height and width that the input shape states."""
    _, height, width, _ = model.inputs[0].shape
    return height, width


def color_of(model: keras.Model) -> ModelProperty:
    """Return the colour mode that follows from the input's channels."""
    channels = model.inputs[0].shape[3]
    if channels is None:
        return ModelProperty("rgb", "the model takes any number of channels")
    return ModelProperty(_COLORS[channels])


def classes_of(model: keras.Model) -> int:
    """Return how many scores one picture gets."""
    return int(model.outputs[0].shape[1])


def is_trained(model: keras.Model) -> bool:
    """Tell whether the weights are trained: the name of an untrained model ends in UNTRAINED."""
    return not model.name.endswith(UNTRAINED)


def activation_of(model: keras.Model, size: tuple[int, int]) -> ModelProperty:
    """Return the activation of the scores; ``size`` is the height and width of the images."""
    stated = activation.in_graph(model)
    if stated is not None:
        return ModelProperty(stated)
    last = f"the last operation is {activation.last_operation(model)}"
    measured = activation.of_noise(model, *size)
    if measured is None:
        return ModelProperty("none", f"{last}, and the scores of test images are no probabilities")
    return ModelProperty(measured, f"{last}, and the scores of test images are such probabilities")


def scale_of(model: keras.Model) -> ModelProperty:
    """Return the scaling: the model's own layer, a known keras.applications model, else "tf"."""
    own = own_scaling(model)
    if own is not None:
        return ModelProperty("none", f"the model has its own {own}")
    for part in _parts(model):
        for prefix, mode in _SCALE_BY_NAME.items():
            if getattr(part, "layers", None) and part.name.lower().startswith(prefix):
                return ModelProperty(mode, f"as keras.applications does for {part.name}")
    return ModelProperty("tf", "a guess: the model does not say how its pixels were scaled")


def own_scaling(model: keras.Model) -> str | None:
    """Return the kind of the layer or operation that scales the pixels inside the model."""
    kinds = [_kind(part) for part in _parts(model) if _kind(part) in _SCALING_LAYERS]
    kinds += [kind for kind in [_first_step(model)] if kind in _ARITHMETIC]
    return kinds[0] if kinds else None


def _parts(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield the model, its layers and the layers of the models inside it."""
    yield model
    for layer in getattr(model, "layers", ()):
        yield from _parts(layer)


def _first_step(model: keras.Model) -> str:
    """Return the kind of the first operation that is neither input nor augmentation."""
    steps = getattr(model, "operations", model.layers)
    return next((_kind(step) for step in steps if not _is_augmentation(step)), "")


def _is_augmentation(step: keras.Operation) -> bool:
    inside = getattr(step, "layers", None)
    if inside:
        return all(map(_is_augmentation, inside))
    return _kind(step) == "InputLayer" or _kind(step).startswith("Random")


def _kind(part: keras.Operation) -> str:
    return type(part).__name__
