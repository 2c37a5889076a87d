"""Find image input and scores output in the signatures of a SavedModel without a spec. Pure.

A signature that cannot be used raises a ``ServingError``, whose text says what the signature has
and what is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flask_server.errors import ServingError
from model_catalog.spec import CHANNELS

#: Signatures by name, as Serving's metadata call returns them.
Signatures = Mapping[str, Any]

#: Name of the signature that Serving uses unless a request names one.
DEFAULT = "serving_default"
#: Name of the signature of our exports that takes raw pixels.
PIXELS = "pixels"

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

    def __str__(self) -> str:
        return shorten(f"{self.name} of shape {list(self.shape)}")


@dataclass(frozen=True, slots=True)
class ScoresOutput:
    """The output of the default signature that has the scores."""

    name: str | None
    """None if it is the only output: the rows of Serving's response are then the scores."""

    classes: int | None
    """The declared number of scores; None if the signature leaves it open."""


def is_our_export(signatures: Signatures) -> bool:
    """Tell whether the SavedModel was written by this project's export script."""
    return {"describe", PIXELS} <= set(signatures)


def image_input(signatures: Signatures) -> TensorInfo:
    """Return the only input of the default signature, or raise ServingError."""
    inputs = _tensors(signatures, "inputs")
    if len(inputs) != 1:
        raise ServingError(
            f"The {DEFAULT} signature has the inputs {_listed(tensor.name for tensor in inputs)};"
            " exactly one is needed."
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
        names = _listed(f"{tensor.name} {tensor.dtype}" for tensor in outputs)
        raise ServingError(
            f"The {DEFAULT} signature has the outputs {names}; exactly one with floats"
            " is needed, or one with as many floats as there are labels."
        )
    return ScoresOutput(
        name=floats[0].name if len(outputs) > 1 else None, classes=_declared_scores(floats[0])
    )


def check_export(signatures: Signatures, classes: int) -> None:
    """Raise ServingError if the ``pixels`` signature of an export declares other scores.

    Two classes may have a single score, that of the second.
    """
    for tensor in _tensors(signatures, "outputs", PIXELS):
        declared = _declared_scores(tensor)
        if declared not in (None, classes) and (declared, classes) != (1, 2):
            raise ServingError(
                f"The {PIXELS} signature has {declared} scores per image; the spec in the"
                f" SavedModel has {classes} classes."
            )


def _declared_scores(tensor: TensorInfo) -> int | None:
    """Return the scores per image, None if that is open; raise ServingError for no row of them.

    An output of the shape [N] has one score per image.
    """
    if not tensor.shape:
        return None
    if tensor.shape in ((-1,), (1,)):
        return 1
    if len(tensor.shape) != 2 or tensor.shape[1] == 0:
        raise ServingError(
            f"The output {tensor} cannot be used; needed is one row of scores per image,"
            " [-1, classes]."
        )
    return tensor.shape[1] if tensor.shape[1] > 0 else None


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


def declared_input(
    tensor: TensorInfo, stated: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Return the fields of the models file, and what the input's shape declares beside them.

    These are height, width and color; the color of a flat vector follows from its length.
    """
    declared = _size_and_color(tensor) | dict(stated)
    if len(tensor.shape) == 2 and "color" not in declared:
        pixels = math.prod(declared.get(side, 0) for side in ("height", "width"))
        return declared | ({"color": _COLORS[1]} if tensor.shape[1] == pixels else {})
    return declared


def _size_and_color(tensor: TensorInfo) -> dict[str, Any]:
    shape = tensor.shape
    if len(shape) == 3 and shape[2] not in _COLORS:
        return _sizes(shape[1], shape[2]) | {"color": _COLORS[1]}
    if len(shape) != 4:
        return {}
    order = (2, 3, 1) if is_channels_first(shape) else (1, 2, 3)
    height, width, channels = (shape[axis] for axis in order)
    return _sizes(height, width) | ({"color": _COLORS[channels]} if channels in _COLORS else {})


def _sizes(height: int, width: int) -> dict[str, Any]:
    return {name: size for name, size in (("height", height), ("width", width)) if size > 0}


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Tell whether the shape is [N, channels, height, width]."""
    return len(shape) == 4 and shape[1] in _COLORS and shape[3] not in _COLORS


def _tensors(signatures: Signatures, side: str, name: str = DEFAULT) -> list[TensorInfo]:
    if name not in signatures:
        raise ServingError(f"The model has the signatures {_listed(signatures)}; {name} is needed.")
    try:
        tensors = signatures[name].get(side, {})
        return [_tensor(alias, info) for alias, info in tensors.items()]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ServingError(f"The {side} of the {name} signature cannot be read.") from error


def _tensor(name: str, info: Mapping[str, Any]) -> TensorInfo:
    dtype, shape = info.get("dtype", ""), info.get("tensor_shape", {})
    if not isinstance(dtype, str):
        raise TypeError("the dtype is no string")
    dims = () if shape.get("unknown_rank") else shape.get("dim", ())
    return TensorInfo(name, dtype, tuple(int(dim["size"]) for dim in dims))


def shorten(text: str, limit: int = 300) -> str:
    """Return the text for an error message, cut to ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _listed(names: Iterable[str]) -> str:
    return shorten(", ".join(names) or "none")
