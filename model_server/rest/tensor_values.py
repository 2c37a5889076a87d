"""Turn one JSON value, nested lists included, into a tensor of a given type. Pure.

Rectangular lists of the expected type are converted as a whole. Other values are checked one by one
in TensorFlow Serving's order, so that the first invalid value is the one that is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_server.codec.base64_text import decode
from model_server.codec.chunks import chunks
from model_server.codec.json_writer import quote_value, type_name
from model_server.errors import InvalidArgument, Unimplemented
from serving_api.dtypes import numpy_dtype, string_array

#: The most dimensions that a numpy array can have.
MAX_RANK: Final = 64

Json = Any
Shape = tuple[int, ...]

_INT32: Final = (-(2**31), 2**31 - 1)
#: TensorFlow Serving checks 8- and 16-bit integers as int32 and lets them wrap around.
_RANGES: Final = {
    "int8": _INT32,
    "uint8": _INT32,
    "int16": _INT32,
    "int32": _INT32,
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_FLOATS: Final = frozenset({"float", "double"})
_READABLE: Final = _FLOATS | set(_RANGES) | {"bool", "string"}


class Ragged(Exception):
    """The value is not a rectangular list of the expected type, so each value must be checked."""


def is_base64(value: Json) -> bool:
    """Tell whether the value is ``{"b64": "<text>"}`` and nothing else."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def shape_of(value: Json) -> Shape:
    """Return the shape according to the first item on each level of lists."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def tensor(value: Json, dtype: str) -> NDArray[Any]:
    """Return the value as a tensor of the type, or raise a ModelServerError."""
    try:
        return rectangular(value, dtype)
    except Ragged:
        return build_tensor(checked_values(value, dtype), shape_of(value), dtype)


def rectangular(value: Json, dtype: str) -> NDArray[Any]:
    """Convert a value whose lists are of equal length on each level, or raise Ragged."""
    shape = shape_of(value)
    if len(shape) > MAX_RANK:
        raise Ragged
    flat = [value]
    for size in shape:
        if not _are_lists_of(flat, size):
            raise Ragged
        flat = _concatenated(flat)
    if not _all_have_type(flat, dtype):
        raise Ragged
    return build_tensor(
        [_to_bytes(leaf) for leaf in flat] if dtype == "string" else flat, shape, dtype
    )


def _are_lists_of(flat: list[Json], size: int) -> bool:
    return all(
        set(map(type, chunk)) == {list} and set(map(len, chunk)) == {size} for chunk in chunks(flat)
    )


def _concatenated(lists: list[list[Json]]) -> list[Json]:
    items: list[Json] = []
    for chunk in chunks(lists):
        items.extend(chain.from_iterable(chunk))
    return items


def _all_have_type(flat: list[Json], dtype: str) -> bool:
    return all(_chunk_has_type(chunk, dtype) for chunk in chunks(flat))


def _chunk_has_type(flat: list[Json], dtype: str) -> bool:
    kinds = set(map(type, flat))
    if dtype in _FLOATS:
        return kinds <= {int, float}
    if dtype == "bool":
        return kinds <= {bool}
    if dtype == "string":
        return all(map(_is_stringlike, flat))
    if dtype not in _RANGES:
        return False
    low, high = _RANGES[dtype]
    return kinds <= {int} and (not flat or (low <= min(flat) and max(flat) <= high))


def checked_values(value: Json, dtype: str, max_rank: int = MAX_RANK) -> list[Any]:
    """Return the innermost values in order, or raise a ModelServerError for the first invalid one.

    ``max_rank`` is the most levels of lists.
    """
    shape = shape_of(value)
    if len(shape) > max_rank:
        raise InvalidArgument(
            f"Encountered {len(shape)} levels of lists; at most {max_rank} are allowed"
        )
    return list(_walk(value, 0, shape, dtype))


def _walk(value: Json, level: int, shape: Shape, dtype: str) -> Iterator[Any]:
    if not isinstance(value, list):
        if level != len(shape):
            raise InvalidArgument(
                f"JSON Value: {quote_value(value)} found at incorrect level: {level + 1}"
                f" in the JSON DOM. Expected at level: {len(shape)}"
            )
        yield _leaf(value, dtype)
        return
    if level >= len(shape):
        raise InvalidArgument(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise InvalidArgument(
            f"Encountered list at unexpected size: {len(value)} at level: {level}"
            f" expected size: {shape[level]}"
        )
    for item in value:
        yield from _walk(item, level + 1, shape, dtype)


def _leaf(value: Json, dtype: str) -> Any:  # noqa: ANN401 - what build_tensor takes
    if isinstance(value, dict) and dtype == "string" and not is_base64(value):
        raise InvalidArgument(
            f"JSON Value: {quote_value(value)} not formatted correctly for base64 data"
        )
    if dtype not in _READABLE and not isinstance(value, dict):
        raise Unimplemented(f"Conversion of JSON Value: {quote_value(value)} to type: {dtype}")
    if not _all_have_type([value], dtype):
        raise InvalidArgument(
            f"JSON Value: {quote_value(value)} Type: {type_name(value)}"
            f" is not of expected type: {dtype}"
        )
    return _to_bytes(value) if dtype == "string" else value


def _is_stringlike(value: Json) -> bool:
    return isinstance(value, str | bytes) or is_base64(value)


def _to_bytes(value: str | bytes | dict[str, str]) -> bytes:
    if isinstance(value, bytes):  # decoded by image_bodies
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return decode(value["b64"])


def build_tensor(flat: list[Any], shape: Shape, dtype: str) -> NDArray[Any]:
    """Return the tensor of the given shape; small integers wrap, floats overflow to infinity."""
    if dtype == "string":
        return string_array(flat).reshape(shape)
    if dtype in _FLOATS:
        return narrowed(_array(flat, np.float64), dtype).reshape(shape)
    if dtype not in _READABLE:
        raise Unimplemented(f"Conversion of an empty list to type: {dtype}")
    wide = {"bool": np.bool_, "uint64": np.uint64}.get(dtype, np.int64)
    return _array(flat, wide).astype(numpy_dtype(dtype)).reshape(shape)


def _array(flat: list[Any], dtype: type[np.generic]) -> NDArray[Any]:
    array, at = np.empty(len(flat), dtype), 0
    for chunk in chunks(flat):
        array[at : at + len(chunk)] = np.array(chunk, dtype)
        at += len(chunk)
    return array


def narrowed(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Return the numbers in a float type; subnormals become zero, as in TensorFlow."""
    target = numpy_dtype(dtype)
    with np.errstate(over="ignore", under="ignore"):
        floats = values.astype(target)
    tiny = np.abs(floats) < np.finfo(target).tiny
    if tiny.any():
        floats[tiny] *= 0
    return floats
