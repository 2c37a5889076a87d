"""Find image input and scores output in the signatures of a SavedModel without a spec. Pure.

A signature that cannot be used raises a ``ServingError``, whose text says what the signature has
and what is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from flask_server.errors import ServingError
from model_catalog.model_entry import SERVING_DEFAULT, ConstantInput, ModelEntry
from model_catalog.spec import CHANNELS

#: Signatures by name, as Serving's metadata call returns them.
Signatures = Mapping[str, Any]

#: Name of the signature of our exports that takes raw pixels.
PIXELS = "pixels"
#: Name of the signature of our exports that returns their spec.
DESCRIBE = "describe"

STRING = "DT_STRING"
FLOATS = ("DT_FLOAT", "DT_DOUBLE")
#: Types that TensorFlow Serving refuses to write as JSON; the embedded model server writes them.
HALVES = ("DT_HALF", "DT_BFLOAT16")
#: Types of outputs whose integers are probabilities, and the integer that is 1.
_SHARES = {"DT_UINT8": 255.0, "DT_UINT16": 65_535.0}
INTEGER_OUTPUTS = (
    "DT_INT8",
    "DT_INT16",
    "DT_INT32",
    "DT_INT64",
    "DT_UINT32",
    "DT_UINT64",
    *_SHARES,
)

#: Maximum bytes of a number, a text and an output of unknown size, with white space and commas.
_NUMBER_BYTES, _TEXT_BYTES, _OPEN_BYTES = 64, 1024, 1024 * 1024

_COLORS = {count: color for color, count in CHANNELS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignCall:
    """How a SavedModel without a spec is called, as far as the models file says it."""

    signature: str = SERVING_DEFAULT

    output: str | None = None
    """Name of the output with the scores."""

    constants: Mapping[str, ConstantInput] = field(default_factory=dict)
    """The values of all inputs but that of the images."""

    sends_base64: bool = False
    """Whether an input of strings takes base64 text instead of the bytes of image files."""

    @classmethod
    def of(cls, entry: ModelEntry) -> ForeignCall:
        """Return the call of a model of the models file."""
        return cls(
            signature=entry.signature,
            output=entry.output,
            constants=entry.constant_inputs,
            sends_base64=entry.string_input == "base64",
        )


USUAL_CALL = ForeignCall()


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature."""

    name: str
    dtype: str

    shape: tuple[int, ...]
    """-1 for a dimension of any size; empty if the rank is unknown, and for a scalar."""

    is_scalar: bool = False

    def __str__(self) -> str:
        return shorten(f"{self.name} of shape {list(self.shape)}")


@dataclass(frozen=True, slots=True)
class ScoresOutput:
    """The output with the scores of the signature that takes images."""

    name: str | None
    """None if it is the only output: the rows of Serving's response are then the scores."""

    classes: int | None
    """The declared number of scores; None if the signature leaves it open."""

    dtype: str = FLOATS[0]

    def divisor(self, activation: str) -> float:
        """Return the number that scores are divided by: probabilities may be small integers."""
        is_share = activation in {"softmax", "sigmoid"}
        return _SHARES.get(self.dtype, 1.0) if is_share else 1.0


def is_our_export(signatures: Signatures) -> bool:
    """Tell whether the SavedModel was written by this project's export script."""
    return {DESCRIBE, PIXELS} <= set(signatures)


def image_input(signatures: Signatures, call: ForeignCall = USUAL_CALL) -> TensorInfo:
    """Return the only input of the signature that has no constant value, or raise ServingError."""
    inputs = _tensors(signatures, "inputs", call.signature)
    names = [tensor.name for tensor in inputs]
    unknown = [name for name in call.constants if name not in names]
    if unknown:
        raise ServingError(
            f"The models file gives a constant value to the input {shorten(unknown[0])}; the"
            f" {call.signature} signature has the inputs {_listed(names)}."
        )
    images = [tensor for tensor in inputs if tensor.name not in call.constants]
    if len(images) != 1:
        raise ServingError(
            f"The {call.signature} signature has the inputs {_listed(names)}; exactly one is needed"
            " that has no value in constant_inputs of the models file."
        )
    return images[0]


def takes_one_image(signatures: Signatures, call: ForeignCall) -> bool:
    """Tell whether the graph takes exactly one image per call."""
    image = image_input(signatures, call)
    return image.is_scalar or image.shape[:1] == (1,)


def constant_inputs(signatures: Signatures, call: ForeignCall) -> list[TensorInfo]:
    """Return the inputs to which the models file gives a constant value."""
    inputs = _tensors(signatures, "inputs", call.signature)
    return [tensor for tensor in inputs if tensor.name in call.constants]


def scores_output(
    signatures: Signatures, counts: Sequence[int], call: ForeignCall = USUAL_CALL
) -> ScoresOutput:
    """Return the output with the scores, or raise ServingError.

    That is the output that the call names, or else the only output with floats. Of several, it is
    the one whose number of scores is in ``counts``, the numbers that the labels fit; an earlier
    number takes precedence.
    """
    outputs = _tensors(signatures, "outputs", call.signature)
    if call.output is None:
        found = _only_floats(outputs, counts, call.signature)
    else:
        found = _named_output(outputs, call.output, call.signature)
    # Only a graph for a scalar returns scores without a dimension for the images.
    has_rows = not image_input(signatures, call).is_scalar
    name = found.name if len(outputs) > 1 else None
    return ScoresOutput(name, _declared_scores(found, has_rows=has_rows), found.dtype)


def _only_floats(
    outputs: Sequence[TensorInfo], counts: Sequence[int], signature: str
) -> TensorInfo:
    floats = [tensor for tensor in outputs if tensor.dtype in {*FLOATS, *HALVES}]
    if len(floats) > 1:
        fitting = ([t for t in floats if t.shape[-1:] == (count,)] for count in counts)
        floats = next(filter(None, fitting), [])
    if len(floats) != 1:
        raise ServingError(
            f"The {signature} signature has the outputs {typed(outputs)}; exactly one with floats"
            " is needed, or one with as many floats as there are labels. The models file can name"
            " it: output."
        )
    return floats[0]


def _named_output(outputs: Sequence[TensorInfo], name: str, signature: str) -> TensorInfo:
    for tensor in outputs:
        if tensor.name == name and tensor.dtype in {*FLOATS, *HALVES, *INTEGER_OUTPUTS}:
            return tensor
    raise ServingError(
        f"The {signature} signature has the outputs {typed(outputs)}; the models file names the"
        f" output {shorten(name)}, which must be one of numbers."
    )


def typed(outputs: Iterable[TensorInfo]) -> str:
    """Return names and types of outputs for an error message."""
    return _listed(f"{tensor.name} {tensor.dtype}" for tensor in outputs)


def check_export(signatures: Signatures, classes: int) -> None:
    """Raise ServingError if the ``pixels`` signature of an export declares other scores.

    Two classes may have a single score, that of the second.
    """
    for tensor in _tensors(signatures, "outputs", PIXELS):
        declared = _declared_scores(tensor, has_rows=True)
        if declared not in (None, classes) and (declared, classes) != (1, 2):
            raise ServingError(
                f"The {PIXELS} signature has {declared} scores per image; the spec in the"
                f" SavedModel has {classes} classes."
            )


def _declared_scores(tensor: TensorInfo, *, has_rows: bool) -> int | None:
    """Return the scores per image, None if that is open; raise ServingError for no row of them.

    An output of the shape [N] has one score per image. Without ``has_rows``, the output belongs to
    one image and may lack the dimension of the images.
    """
    if tensor.is_scalar:
        return 1
    if not tensor.shape:
        return None
    if not has_rows and len(tensor.shape) == 1:
        return tensor.shape[0] if tensor.shape[0] > 0 else None
    if tensor.shape in ((-1,), (1,)):
        return 1
    if len(tensor.shape) != 2 or tensor.shape[1] == 0:
        raise ServingError(
            f"The output {tensor} cannot be used; needed is one row of scores per image,"
            " [-1, classes]."
        )
    return tensor.shape[1] if tensor.shape[1] > 0 else None


def outputs_of(signatures: Signatures, name: str = SERVING_DEFAULT) -> list[TensorInfo]:
    """Return the outputs of a signature."""
    return _tensors(signatures, "outputs", name)


def max_row_bytes(outputs: Sequence[TensorInfo], output: str | None, classes: int | None) -> int:
    """Return the maximum bytes of one image's row in the response to a predict call.

    If the signature of a classifier has only one output (``output`` is None), that are its scores.
    Otherwise the row has all outputs, of which some may leave their size open.
    """
    if output is None and classes is not None:
        return classes * _NUMBER_BYTES
    return sum(_output_bytes(tensor) for tensor in outputs)


def _output_bytes(tensor: TensorInfo) -> int:
    sizes = tensor.shape[1:]
    if not tensor.shape or any(size < 0 for size in sizes):
        return _OPEN_BYTES
    return math.prod(sizes) * (_TEXT_BYTES if tensor.dtype == STRING else _NUMBER_BYTES)


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


def _tensors(signatures: Signatures, side: str, name: str = SERVING_DEFAULT) -> list[TensorInfo]:
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
    is_known = not shape.get("unknown_rank")
    dims = shape.get("dim", ()) if is_known else ()
    # Without a rank at all, as some servers write it, the rank is not known either.
    is_scalar = is_known and "dim" in shape and not dims
    return TensorInfo(name, dtype, tuple(int(dim["size"]) for dim in dims), is_scalar)


def shorten(text: str, limit: int = 300) -> str:
    """Return the text for an error message, cut to ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _listed(names: Iterable[str]) -> str:
    return shorten(", ".join(names) or "none")
