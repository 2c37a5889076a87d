"""Load a Keras classifier and read its properties: size, colour, classes, activation, scaling.

Nothing here writes files or knows command-line options. A property that the model does not state
has an ``assumption``, which callers print: wrong preprocessing gives wrong scores without any
error.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts import activation, quiet_tensorflow
from scripts.applications import SCALE_BY_NAME
from scripts.loading import graph, keras_files, pictures, teachable_machine

if TYPE_CHECKING:
    import keras

_COLORS = {1: "grayscale", 3: "rgb"}

#: Losses of models that predict values and not classes, as ``FileConfig.loss`` names them.
_REGRESSION = {
    "mse",
    "meansquarederror",
    "mae",
    "meanabsoluteerror",
    "mape",
    "meanabsolutepercentageerror",
    "msle",
    "meansquaredlogarithmicerror",
    "huber",
    "huberloss",
    "logcosh",
}
#: The assumption where nothing tells the scaling.
GUESS = "a guess: the model does not say how its pixels were scaled"
#: Suffix that the download script gives to the names of models with random weights.
UNTRAINED = "_untrained"
#: Kinds of layers that scale pixels inside a model.
_SCALING_LAYERS = {"Rescaling", "Normalization"}
#: Kinds of operations that a model contains when preprocess_input was called while it was built.
_ARITHMETIC = {"TrueDivide", "Divide", "Multiply", "Subtract", "Add", "GetItem"}
#: Kinds of operations in front of the first that changes pixels; augmentation comes beside these.
_KEEPING = {
    *("InputLayer", "Cast", "Reshape", "Permute", "Transpose", "Pad", "Identity"),
    *("Resizing", "Resize", "UpSampling2D", "CenterCrop", "Cropping2D", "ZeroPadding2D"),
}


@dataclass(frozen=True, slots=True)
class ModelProperty:
    """One property of a model."""

    value: str

    assumption: str | None = None
    """Why the value was assumed; None where the model states it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOptions:
    """How a model file is loaded; None means that the file tells."""

    size: tuple[int, int] | None = None
    """Height and width of the images; needed where the model takes flattened ones."""

    output: str | None = None
    """Name of the output with the scores."""

    scale: str | None = None
    """Scaling of the pixels."""

    trust: bool = False
    """Allow code in the file."""

    custom: Path | None = None
    """Python file with the classes and functions that the model file names."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A classifier of images that was read from a file."""

    model: keras.Model

    notes: tuple[str, ...] = ()
    """One text for each choice that was made about the model's shapes."""

    loss: str | None = None
    """Name of the loss that the model was trained with, if the file says it."""


def load_file(path: Path, options: LoadOptions) -> Loaded:
    """Load an image classifier and keep what the file says, or raise ScriptError.

    The path is that of a ``.keras`` or ``.h5`` file, whose content counts and not its name, or of
    Teachable Machine's SavedModel.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's, about how the model was built or saved
        if teachable_machine.is_saved_model(path):
            quiet_tensorflow.start()
            return Loaded(*as_classifier(teachable_machine.saved_model_as_keras(path), options))
        file = keras_files.load(path, trust=options.trust, custom=options.custom)
        return Loaded(*as_classifier(file.model, options), file.about.loss)


def as_classifier(model: keras.Model, options: LoadOptions) -> tuple[keras.Model, tuple[str, ...]]:
    """Return the model such that it turns one image into one list of scores, or ScriptError."""
    scale = options.scale or ("none" if own_scaling(model) is not None else None)
    wishes = pictures.Wishes(size=options.size, output=options.output, scale=scale)
    classifier = pictures.classifier_of(model, wishes)
    graph.rename_for_tensorflow(classifier)
    return classifier, tuple(wishes.notes)


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
    """Return how many scores one image gets."""
    return int(model.outputs[0].shape[1])


def is_trained(model: keras.Model) -> bool:
    """Tell whether the weights are trained: the name of an untrained model ends in UNTRAINED."""
    return not model.name.endswith(UNTRAINED)


def activation_of(
    model: keras.Model, size: tuple[int, int], loss: str | None = None
) -> ModelProperty:
    """Return the activation of the scores; ``size`` is the height and width of the images.

    A model without activation whose ``loss`` is one of regression returns values, not logits.
    """
    stated = activation.in_graph(model)
    if stated == "none" and loss in _REGRESSION:
        return ModelProperty("raw", f"it was trained with the loss {loss}")
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
    for part in graph.parts(model):
        for prefix, mode in SCALE_BY_NAME.items():
            if getattr(part, "layers", None) and part.name.lower().startswith(prefix):
                return ModelProperty(mode, f"as keras.applications does for {part.name}")
    return ModelProperty("tf", GUESS)


def own_scaling(model: keras.Model) -> str | None:
    """Return the kind of the layer or operation that scales the pixels inside the model."""
    kinds = [graph.kind(part) for part in graph.parts(model) if graph.kind(part) in _SCALING_LAYERS]
    kinds += [kind for kind in [_first_step(model)] if kind in _ARITHMETIC]
    return kinds[0] if kinds else None


def _first_step(model: keras.Model) -> str:
    """Return the kind of the first operation that changes the values of the pixels."""
    if not getattr(model, "layers", None):
        return ""
    kinds = map(graph.kind, graph.steps(model))
    return next((kind for kind in kinds if not _keeps_pixels(kind)), "")


def _keeps_pixels(kind: str) -> bool:
    return kind in _KEEPING or kind.startswith("Random")
