"""Read what Serving's metadata says of a SavedModel that does not describe itself. Pure.

A caller can rely on one promise: what cannot be used is a ``ServingError`` whose sentence says what
the signature has and what is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_server.errors import ServingError
from model_catalog.spec import CHANNELS

Signatures = Mapping[str, Any]

DEFAULT = "serving_default"

FLOATS = ("DT_FLOAT", "DT_DOUBLE")
_COLORS = {count: color for color, count in CHANNELS.items()}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature."""

    name: str
    dtype: str

    shape: tuple[int, ...]
    """-1 where a dimension is open; empty where even the rank is."""


def is_our_export(signatures: Signatures) -> bool:
    """Tell whether the SavedModel has the signatures of our export script."""
    return {"describe", "pixels"} <= set(signatures)


def picture_input(signatures: Signatures) -> TensorInfo:
    """Return the only input of the default signature."""
    inputs = _tensors(signatures, "inputs")
    if len(inputs) != 1:
        names = ", ".join(tensor.name for tensor in inputs) or "none"
        raise ServingError(f"The {DEFAULT} signature has the inputs {names}; one is needed.")
    return inputs[0]


def scores_output(signatures: Signatures, classes: int | None) -> tuple[str | None, int | None]:
    """Return which output has the scores, and how many it declares.

    The name is None where there is only one output, since Serving then answers bare rows. Of
    several the float one counts, of several floats the one with as many values as labels.
    """
    outputs = _tensors(signatures, "outputs")
    floats = [tensor for tensor in outputs if tensor.dtype in FLOATS]
    if len(floats) > 1:
        floats = [tensor for tensor in floats if tensor.shape[-1:] == (classes,)]
    if len(floats) != 1:
        names = ", ".join(f"{tensor.name} {tensor.dtype}" for tensor in outputs) or "none"
        raise ServingError(
            f"The {DEFAULT} signature has the outputs {names}; one with floats, of as "
            "many values as there are labels, is needed."
        )
    declared = floats[0].shape[-1] if len(floats[0].shape) > 1 else -1
    return floats[0].name if len(outputs) > 1 else None, declared if declared > 0 else None


def declared_picture(tensor: TensorInfo) -> dict[str, Any]:
    """Return height, width and colour as far as the input's shape tells them."""
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
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ServingError(f"The {side} of the {DEFAULT} signature cannot be read.") from error


def _tensor(name: str, info: Mapping[str, Any]) -> TensorInfo:
    shape = info.get("tensor_shape", {})
    dims = () if shape.get("unknown_rank") else shape.get("dim", ())
    return TensorInfo(name, info.get("dtype", ""), tuple(int(dim["size"]) for dim in dims))
