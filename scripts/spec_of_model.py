"""Build the ModelSpec of a Keras model from options, the model's own properties and assumptions.

An option takes precedence over a property of the model, and a property over an assumption. Only
label files are read. Every assumption is in the returned list, together with the command-line
option that overrides it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_catalog.labels import (
    IMAGENET,
    imagenet_labels,
    labels_for,
    numbered_labels,
    read_labels,
    score_counts,
)
from model_catalog.spec import InputSpec, Label, ModelSpec, OutputSpec
from scripts import keras_models
from scripts.errors import ScriptError
from scripts.keras_models import ModelProperty

if TYPE_CHECKING:
    import keras

NUMBERED = "numbered"


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecOptions:
    """Options of the user for one model; None means that the value is taken from the model."""

    size: tuple[int, int] | None = None
    """Height and width."""

    color: str | None = None
    interpolation: str | None = None
    fit: str | None = None
    scale: str | None = None
    activation: str | None = None

    labels: str | None = None
    """A label file, a folder with a folder per class, ``imagenet`` or ``numbered``."""

    name: str | None = None
    source: str = ""
    untrained: bool = False

    images: Path | None = None
    """A folder of images like those of the training."""

    check: Path | None = None
    """A folder with one folder of images per class."""


def spec_of(
    model: keras.Model, options: SpecOptions, loss: str | None = None
) -> tuple[ModelSpec, list[str]]:
    """Return the spec, and one text for each assumption that was made for it.

    ``loss`` is the loss that the model was trained with, if that is known.
    """
    scores = keras_models.classes_of(model)
    resolver = _Resolver(options)
    input_spec = _input(model, resolver)
    found = keras_models.activation_of(model, (input_spec.height, input_spec.width), loss)
    activation = resolver.resolve("activation", found)
    labels = chosen_labels(resolver.resolve("labels", default_labels(scores)), scores)
    if scores < len(labels):
        if activation == "raw":
            raise ScriptError("--activation raw is not allowed for one value with two labels.")
        resolver.assumed.append(f"the only score is that of {labels[1][1]}, the second label")
    spec = ModelSpec(
        name=options.name or model.name,
        trained=keras_models.is_trained(model) and not options.untrained,
        input=input_spec,
        output=_output(scores, len(labels), activation),
        labels=labels,
        source=options.source,
    )
    return spec, resolver.assumed


def _output(scores: int, classes: int, activation: str) -> OutputSpec:
    """Return the output that the export has; it turns a single score into those of two classes."""
    if scores < classes and activation != "none":
        # The two probabilities add up to 1.
        activation = "softmax"
    return OutputSpec(classes=classes, activation=activation)


class _Resolver:
    """Resolves options to values, and collects the assumptions that were needed for it."""

    def __init__(self, options: SpecOptions) -> None:
        self.options = options
        self.assumed: list[str] = []

    def resolve(self, option: str, found: ModelProperty) -> str:
        """Return the option's value or, where it is not given, the model's property."""
        given = getattr(self.options, option)
        if given is not None:
            return str(given)
        if found.assumption is not None:
            self.assumed.append(f"--{option} {found.value} ({found.assumption})")
        return found.value


def _input(model: keras.Model, resolver: _Resolver) -> InputSpec:
    height, width = _size(model, resolver.options.size)
    return InputSpec(
        height=height,
        width=width,
        color=_matching_color(model, resolver.resolve("color", keras_models.color_of(model))),
        interpolation=resolver.options.interpolation or "bilinear",
        fit=resolver.options.fit or "stretch",
        scale=resolver.resolve("scale", keras_models.scale_of(model)),
    )


def _size(model: keras.Model, given: tuple[int, int] | None) -> tuple[int, int]:
    height, width = keras_models.size_of(model)
    if given is None:
        if height is None or width is None:
            raise ScriptError("The model takes images of any size; choose one with --size HxW.")
        return height, width
    if height not in {None, given[0]} or width not in {None, given[1]}:
        text = "x".join(map(str, given))
        raise ScriptError(f"--size {text} is not allowed; the model takes {height}x{width}.")
    return given


def _matching_color(model: keras.Model, color: str) -> str:
    stated = keras_models.color_of(model)
    if color != stated.value and stated.assumption is None:
        raise ScriptError(f"--color {color} is not allowed; the model takes {stated.value}.")
    return color


def default_labels(scores: int) -> ModelProperty:
    """Return the choice of labels for a model that has none: ``imagenet`` or ``numbered``."""
    if scores in score_counts(imagenet_labels()):
        first = "" if scores == len(imagenet_labels()) else ", the background first"
        return ModelProperty(IMAGENET, f"the model has {scores} classes{first}")
    if scores == 1:
        return ModelProperty(NUMBERED, "two labels would turn the only score into two classes")
    return ModelProperty(NUMBERED, "the classes have no names")


def chosen_labels(choice: str, scores: int) -> tuple[Label, ...]:
    """Return as many labels as the scores need, from a file or a choice; or raise ScriptError."""
    if choice == NUMBERED:
        return numbered_labels(scores)
    labels = imagenet_labels() if choice == IMAGENET else read_labels(Path(choice))
    if scores not in score_counts(labels):
        needed = "1 class, which takes 1 or 2 labels" if scores == 1 else f"{scores} classes"
        raise ScriptError(f"{choice} has {len(labels)} labels; the model has {needed}.")
    return labels_for(labels, scores)
