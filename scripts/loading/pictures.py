"""Give every classifier the same shape: any number of images in, one list of scores each out.

Models take images in other orders of the axes, flattened, for a fixed number of images, or with
an alpha channel, and return their scores beside other things. A model that differs is wrapped in
one that does not; the weights are shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scripts import activation
from scripts.errors import ScriptError
from scripts.loading import graph

if TYPE_CHECKING:
    import keras

#: The value of an opaque alpha channel by the scaling of the pixels.
_OPAQUE = {"none": 255.0, "unit": 1.0, "tf": 1.0}

_ALLOWED = (
    "allowed are images, (None, height, width, channels) with 1, 3 or 4 channels, also channels "
    "first or without channels, or (None, pixels) with --size HxW"
)

Shape = tuple[int | None, ...]
#: From the package of Keras to a function of a tensor.
Step = Callable[[ModuleType], Callable[[Any], Any]]


@dataclass(kw_only=True, slots=True)
class Wishes:
    """What the user says about the shapes, and what was chosen where nothing was said."""

    size: tuple[int, int] | None = None
    """Height and width; needed for flattened images."""

    output: str | None = None
    """Name of the output with the scores."""

    scale: str | None = None
    """Scaling of the pixels, which tells the value of an opaque alpha channel."""

    notes: list[str] = field(default_factory=list)
    """One text per choice."""


def classifier_of(model: keras.Model, wishes: Wishes) -> keras.Model:
    """Return the model, wrapped where its shapes demand it, or raise ScriptError."""
    model = _functional(model)
    output = _scores(model, wishes)
    source = _only_input(model, output)
    inner = model
    if len(model.inputs) != 1 or len(model.outputs) != 1 or model.outputs[0] is not output:
        inner = graph.keras_of(model).Model(source, output, name=model.name)
    shape, before = _picture(tuple(source.shape), wishes)
    after = _row(tuple(output.shape))
    if shape is None and not after:
        return _unstructured(inner)
    return _wrapped(inner, shape or tuple(source.shape)[1:], before, after)


def _unstructured(model: keras.Model) -> keras.Model:
    """Return a model whose call returns the tensor itself, not a dictionary or list around it."""
    structures = (_structure(model, "inputs"), _structure(model, "outputs"))
    if not any(isinstance(structure, dict | list | tuple) for structure in structures):
        return model
    return graph.keras_of(model).Model(model.inputs[0], model.outputs[0], name=model.name)


def _structure(model: keras.Model, side: str) -> object:
    """Return the inputs or outputs as the model takes them: a tensor, a dictionary or a list."""
    structure = getattr(model, f"_{side}_struct", None)
    return getattr(model, f"_nested_{side}", None) if structure is None else structure


def _functional(model: keras.Model) -> keras.Model:
    """Return a model with a graph; that of a subclassed model is one step."""
    if getattr(model, "inputs", None):
        return model
    shape = _built_shape(model)
    if shape is None or len(shape) < 2:
        raise ScriptError(
            "The model was never built, so its input shape is unknown; call it once on a batch of "
            "images and save it again."
        )
    api = graph.keras_of(model)
    picture = api.Input(shape[1:])
    try:
        return api.Model(picture, model(picture), name=model.name)
    except Exception as error:  # whatever the user's code raises
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        text = f"The model cannot be called on images of the shape {shape[1:]}: {reason}"
        raise ScriptError(text) from error


def _built_shape(model: keras.Model) -> Shape | None:
    """Return the input shape that a subclassed model was built for."""
    shapes = getattr(model, "_build_shapes_dict", None)
    found = next(iter(shapes.values())) if shapes else getattr(model, "_build_input_shape", None)
    return None if found is None else tuple(found)


def _scores(model: keras.Model, wishes: Wishes) -> keras.KerasTensor:
    """Return the tensor with the scores: the named output, or the only one that can be."""
    outputs = _named_outputs(model, wishes)
    if wishes.output is not None:
        if wishes.output not in outputs:
            raise ScriptError(
                f"--output {wishes.output} is not allowed; the outputs of the model are "
                f"{', '.join(outputs)}."
            )
        return outputs[wishes.output]
    rows = {name: tensor for name, tensor in outputs.items() if _is_row(tuple(tensor.shape))}
    activated = {n: t for n, t in rows.items() if activation.of_tensor(t) in {"softmax", "sigmoid"}}
    for found in (outputs, rows, activated):
        if len({id(tensor) for tensor in found.values()}) == 1:
            name, tensor = next(iter(found.items()))
            if len({id(tensor) for tensor in outputs.values()}) > 1:
                wishes.notes.append(f"--output {name} (of {', '.join(outputs)})")
            return tensor
    raise ScriptError(
        f"The model has {len(model.inputs)} inputs and {len(outputs)} outputs; say which of them "
        f"holds the scores with --output NAME: {', '.join(outputs)}."
    )


def _named_outputs(model: keras.Model, wishes: Wishes) -> dict[str, keras.KerasTensor]:
    """Return the outputs by name; instead of the best scores (top-k), all of them."""
    structure = _structure(model, "outputs")
    if isinstance(structure, dict):
        named = {str(key): tensor for key, tensor in structure.items()}
    else:
        named = {graph.producer(tensor)[0].name: tensor for tensor in model.outputs}
    if len(named) < len(model.outputs):  # two outputs of one operation
        named = {str(number): tensor for number, tensor in enumerate(model.outputs)}
    found = {name: _before_top_k(tensor) for name, tensor in named.items()}
    if any(tensor is not found[name] for name, tensor in named.items()):
        wishes.notes.append("the scores of all classes, from before the model's own top-k")
    return found


def _before_top_k(tensor: keras.KerasTensor) -> keras.KerasTensor:
    operation, _, _ = graph.producer(tensor)
    return graph.sources(tensor)[0] if graph.kind(operation) == "TopK" else tensor


def _only_input(model: keras.Model, output: keras.KerasTensor) -> keras.KerasTensor:
    found = graph.inputs_of(output) if len(model.inputs) > 1 else list(model.inputs)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{graph.producer(i)[0].name} {tuple(i.shape)}" for i in model.inputs)
    raise ScriptError(
        f"The scores depend on {len(found)} inputs, {listed}; allowed is one, the image. Save a "
        "model in which the others are constants."
    )


def _picture(shape: Shape, wishes: Wishes) -> tuple[Shape | None, list[Step]]:
    """Return the shape of an image and the steps to the model's own; None if they are the same."""
    batch, *sides = shape
    if batch is not None:
        wishes.notes.append(f"the batch size {batch} of the model is dropped")
    layout = _LAYOUTS.get(len(sides))
    found = layout(sides, wishes) if layout is not None else None
    if found is None:
        raise ScriptError(f"The model's input has the shape {shape}; {_ALLOWED}.")
    picture, steps = found
    return (None if not steps and batch is None else picture), steps


def _axes(sides: list[int | None], wishes: Wishes) -> tuple[Shape, list[Step]] | None:
    """Return the image for an input of three axes."""
    is_first = sides[0] in {1, 3} and sides[1:] == [None, None]
    if sides[2] in {1, 3, None} and not is_first:
        return tuple(sides), []
    if sides[2] == 4:
        return (*sides[:2], 3), [_opaque(wishes)]
    if sides[0] not in {1, 3, 4}:
        return None
    alpha = [_opaque(wishes)] if sides[0] == 4 else []
    return (sides[1], sides[2], min(sides[0], 3) if sides[0] != 1 else 1), [
        *alpha,
        lambda api: api.layers.Permute((3, 1, 2)),
    ]


def _without_channels(sides: list[int | None], wishes: Wishes) -> tuple[Shape, list[Step]]:
    height, width = wishes.size or sides
    return (height, width, 1), [lambda api: api.layers.Reshape((height, width))]


def _flat(sides: list[int | None], wishes: Wishes) -> tuple[Shape, list[Step]] | None:
    if wishes.size is None:
        return None
    values, pixels = sides[0], math.prod(wishes.size)
    if values is None or values not in {pixels, 3 * pixels}:
        text = "x".join(map(str, wishes.size))
        raise ScriptError(
            f"--size {text} is not allowed; the model takes {values} values, as many as pixels of "
            "a grey image or three times as many."
        )
    return (*wishes.size, values // pixels), [lambda api: api.layers.Reshape((values,))]


_LAYOUTS: dict[int, Callable[[list[int | None], Wishes], tuple[Shape, list[Step]] | None]] = {
    1: _flat,
    2: _without_channels,
    3: _axes,
}


def _opaque(wishes: Wishes) -> Step:
    """Return the step that adds an alpha channel; the image before is on white already."""
    if wishes.scale not in _OPAQUE:
        raise ScriptError(
            "The model takes 4 channels, so the scaling of the alpha channel must be known; give "
            f"--scale {', '.join(_OPAQUE)}."
        )
    value = _OPAQUE[wishes.scale]
    wishes.notes.append(
        f"the alpha channel is always {value:g}, since transparent parts become white before"
    )

    def step(api: ModuleType) -> Callable[[Any], Any]:
        margins = [[0, 0], [0, 0], [0, 0], [0, 1]]
        if api.__name__ == "keras":
            return lambda x: api.ops.pad(x, margins, constant_values=value)
        import tensorflow as tf

        return lambda x: tf.pad(x, margins, constant_values=value)

    return step


def _is_row(shape: Shape) -> bool:
    return len(shape) == 1 or (len(shape) >= 2 and {*shape[1:-1]} <= {1} and shape[-1] is not None)


def _row(shape: Shape) -> list[Step]:
    """Return the steps from the model's output to one list of scores per image."""
    if not _is_row(shape):
        raise ScriptError(f"The model's output has the shape {shape}; allowed is (None, classes).")
    if len(shape) == 2 and shape[0] is None:
        return []
    classes = shape[-1] if len(shape) > 1 else 1
    return [lambda api: api.layers.Reshape((classes,))]


def _wrapped(
    model: keras.Model, shape: Shape, before: list[Step], after: list[Step]
) -> keras.Model:
    api = graph.keras_of(model)
    picture = api.Input(shape, dtype=model.inputs[0].dtype)
    values = picture
    for step in [*before, lambda _: model, *after]:
        values = step(api)(values)
    return api.Model(picture, values, name=model.name)
