"""Make the ModelSpec of a Keras model: what the caller asks for, what the model says, what is left.

No files but label files are read. A caller can rely on one promise: everything that was assumed is
in the returned list, each entry with the option that overrules it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_catalog.labels import IMAGENET, imagenet_labels, numbered_labels, read_labels
from model_catalog.spec import InputSpec, Label, ModelSpec, OutputSpec
from scripts import keras_models
from scripts.errors import ScriptError
from scripts.keras_models import Finding

if TYPE_CHECKING:
    import keras

NUMBERED = "numbered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What a person says about a model; None asks the model itself."""

    size: tuple[int, int] | None = None
    """Height and width."""

    color: str | None = None
    interpolation: str = "bilinear"
    fit: str = "stretch"
    scale: str | None = None
    activation: str | None = None

    labels: str | None = None
    """A label file or ``imagenet``."""

    name: str | None = None
    source: str = ""
    untrained: bool = False


def spec_of(model: keras.Model, wishes: Wishes) -> tuple[ModelSpec, list[str]]:
    """Return the spec and what had to be assumed for it."""
    assumed: list[str] = []

    def settled(option: str, finding: Finding) -> str:
        """Take the wish, else the finding; note the latter where it is an assumption."""
        wish = getattr(wishes, option)
        if wish is None and finding.reason:
            assumed.append(f"--{option} {finding.value} ({finding.reason})")
        return finding.value if wish is None else str(wish)

    height, width = _size(model, wishes.size)
    classes = keras_models.classes_of(model)
    spec = ModelSpec(
        name=wishes.name or model.name,
        trained=keras_models.is_trained(model) and not wishes.untrained,
        input=InputSpec(
            height=height,
            width=width,
            color=_matching_color(model, settled("color", keras_models.color_of(model))),
            interpolation=wishes.interpolation,
            fit=wishes.fit,
            scale=settled("scale", keras_models.scale_of(model)),
        ),
        output=OutputSpec(
            classes=classes,
            activation=settled("activation", keras_models.activation_of(model)),
        ),
        labels=_labels(settled("labels", _usual_labels(classes)), classes),
        source=wishes.source,
    )
    return spec, assumed


def _size(model: keras.Model, wish: tuple[int, int] | None) -> tuple[int, int]:
    height, width = keras_models.size_of(model)
    if wish is None:
        if height is None or width is None:
            raise ScriptError("The model takes pictures of any size; say one with --size HxW.")
        return height, width
    if height not in {None, wish[0]} or width not in {None, wish[1]}:
        asked = "x".join(map(str, wish))
        raise ScriptError(f"--size {asked} is not allowed; the model takes {height}x{width}.")
    return wish


def _matching_color(model: keras.Model, color: str) -> str:
    stated = keras_models.color_of(model)
    if color != stated.value and not stated.reason:
        raise ScriptError(f"--color {color} is not allowed; the model takes {stated.value}.")
    return color


def _usual_labels(classes: int) -> Finding:
    if classes == len(imagenet_labels()):
        return Finding(IMAGENET, f"the model has {classes} classes")
    return Finding(NUMBERED, "the classes have no names")


def _labels(choice: str, classes: int) -> tuple[Label, ...]:
    if choice == NUMBERED:
        return numbered_labels(classes)
    labels = imagenet_labels() if choice == IMAGENET else read_labels(Path(choice))
    if len(labels) != classes:
        raise ScriptError(f"{choice} has {len(labels)} labels; the model has {classes} classes.")
    return labels
