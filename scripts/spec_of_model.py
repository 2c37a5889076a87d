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
    classes = keras_models.classes_of(model)
    settle = _Settlement(wishes)
    spec = ModelSpec(
        name=wishes.name or model.name,
        trained=keras_models.is_trained(model) and not wishes.untrained,
        input=_input(model, settle),
        output=OutputSpec(
            classes=classes,
            activation=settle("activation", keras_models.activation_of(model)),
        ),
        labels=_labels(settle("labels", _usual_labels(classes)), classes),
        source=wishes.source,
    )
    return spec, settle.assumed


class _Settlement:
    """Settle each option: the wish, else the finding; note the latter where it is an assumption."""

    def __init__(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.assumed: list[str] = []

    def __call__(self, option: str, finding: Finding) -> str:
        wish = getattr(self.wishes, option)
        if wish is None and finding.reason:
            self.assumed.append(f"--{option} {finding.value} ({finding.reason})")
        return finding.value if wish is None else str(wish)


def _input(model: keras.Model, settle: _Settlement) -> InputSpec:
    height, width = _size(model, settle.wishes.size)
    return InputSpec(
        height=height,
        width=width,
        color=_matching_color(model, settle("color", keras_models.color_of(model))),
        interpolation=settle.wishes.interpolation,
        fit=settle.wishes.fit,
        scale=settle("scale", keras_models.scale_of(model)),
    )


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
