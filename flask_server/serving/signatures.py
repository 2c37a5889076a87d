"""Find image input and scores output in the signatures of a SavedModel without a spec. Pure.

A signature that cannot be used raises a ``ServingError``, whose text says what the signature has
and what is needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_server.errors import ServingError
from model_catalog.spec import CHANNELS

#: Signatures by name, as Serving's metadata call returns them.
Signatures = Mapping[str, Any]

#: Name of the signature that Serving uses unless a request names one.
DEFAULT = "serving_default"

FLOATS = ("DT_FLOAT", "DT_DOUBLE")

#: Maximum bytes of a number, a text and an output of unknown size, with white space and commas.
_NUMBER_BYTES, _TEXT_BYTES, _OPEN_BYTES = 64, 1024, 1024 * 1024

_COLORS = {count: color for color, count in CHANNELS.items()}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature."""

    name: str
    dtype: str

    shape: tuple[int, ...]
    """-1 for a dimension of any size; empty if the rank is unknown."""


@dataclass(frozen=True, slots=True)
class ScoresOutput:
    """The output of the default signature that has the scores."""

    name: str | None
    """None if it is the only output: the rows of Serving's response are then the scores."""

    classes: int | None
    """The declared number of scores; None if the signature leaves it open."""


def is_our_export(signatures: Signatures) -> bool:
    """Tell whether the SavedModel was written by this project's export script."""
    return {"describe", "pixels"} <= set(signatures)


def image_input(signatures: Signatures) -> TensorInfo:
    """Return the only input of the default signature, or raise ServingError."""
    inputs = _tensors(signatures, "inputs")
    if len(inputs) != 1:
        names = ", ".join(tensor.name for tensor in inputs) or "none"
        raise ServingError(
            f"The {DEFAULT} signature has the inputs {names}; exactly one is needed."
        )
    return inputs[0]


def scores_output(signatures: Signatures, counts: Sequence[int]) -> ScoresOutput:
    """Return the output with the scores, or raise ServingError.

    That is the only output with floats. Of several, it is the one whose number of scores is in
    ``counts``, the numbers that the labels fit; an earlier number takes precedence.
    """
    outputs = _tensors(signatures, "outputs")
    floats = [tensor for tensor in outputs if tensor.dtype in FLOATS]
    if len(floats) > 1:
        fitting = ([t for t in floats if t.shape[-1:] == (count,)] for count in counts)
        floats = next(filter(None, fitting), [])
    if len(floats) != 1:
        names = ", ".join(f"{tensor.name} {tensor.dtype}" for tensor in outputs) or "none"
        raise ServingError(
            f"The {DEFAULT} signature has the outputs {names}; exactly one with floats"
            " is needed, or one with as many floats as there are labels."
        )
    return ScoresOutput(
        name=floats[0].name if len(outputs) > 1 else None, classes=_declared_scores(floats[0].shape)
    )


def _declared_scores(shape: tuple[int, ...]) -> int | None:
    """Return the number of scores per image; an output of the shape [N] has one."""
    if len(shape) < 2:
        return 1 if shape == (-1,) else None
    return shape[-1] if shape[-1] > 0 else None


def max_row_bytes(signatures: Signatures, output: str | None, classes: int) -> int:
    """Return the maximum bytes of one image's row in the response to a predict call.

    If the signature has only one output (``output`` is None), that are its scores. Otherwise the
    row has all outputs, of which some may leave their size open.
    """
    if output is None:
        return classes * _NUMBER_BYTES
    return sum(_output_bytes(tensor) for tensor in _tensors(signatures, "outputs"))


def _output_bytes(tensor: TensorInfo) -> int:
    sizes = tensor.shape[1:]
    if not tensor.shape or any(size < 0 for size in sizes):
        return _OPEN_BYTES
    return math.prod(sizes) * (_TEXT_BYTES if tensor.dtype == "DT_STRING" else _NUMBER_BYTES)


def declared_input(tensor: TensorInfo) -> dict[str, Any]:
    """Return the fields height, width and color of a spec that the input's shape declares."""
    if len(tensor.shape) != 4:
        return {}
    order = (2, 3, 1) if is_channels_first(tensor.shape) else (1, 2, 3)
    height, width, channels = (tensor.shape[axis] for axis in order)
    sizes = {"height": height, "width": width}
    known: dict[str, Any] = {name: size for name, size in sizes.items() if size > 0}
    return known | ({"color": _COLORS[channels]} if channels in _COLORS else {})


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Tell whether the shape is [N, channels, height, width]."""
    return len(shape) == 4 and shape[1] in _COLORS and shape[3] not in _COLORS


def _tensors(signatures: Signatures, side: str) -> list[TensorInfo]:
    if DEFAULT not in signatures:
        names = ", ".join(signatures) or "none"
        raise ServingError(f"The model has the signatures {names}; {DEFAULT} is needed.")
    try:
        tensors = signatures[DEFAULT].get(side, {})
        return [_tensor(name, info) for name, info in tensors.items()]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ServingError(f"The {side} of the {DEFAULT} signature cannot be read.") from error


def _tensor(name: str, info: Mapping[str, Any]) -> TensorInfo:
    shape = info.get("tensor_shape", {})
    dims = () if shape.get("unknown_rank") else shape.get("dim", ())
    return TensorInfo(name, info.get("dtype", ""), tuple(int(dim["size"]) for dim in dims))
