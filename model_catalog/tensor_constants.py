"""Read the few numbers of a constant in a graph, without numpy."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final

from model_catalog.protos import number
from model_catalog.wire import fields, varints

Numbers = tuple[float, ...]

#: Constants of more numbers, such as weights and mean images, are not read.
MAX_NUMBERS: Final = 64

#: Formats of numbers in bytes, by TensorFlow's number of the type.
_FORMATS: Final = {1: "<f", 2: "<d", 3: "<i", 4: "<B", 6: "<b", 9: "<q", 19: "<e"}
#: The fields of numbers that are not written as bytes, by the format that they have.
_LISTS: Final = {
    number("Tensor", "float_val"): "<f",
    number("Tensor", "double_val"): "<d",
    number("Tensor", "int_val"): "",
    number("Tensor", "int64_val"): "",
}
_DTYPE, _CONTENT = number("Tensor", "dtype"), number("Tensor", "tensor_content")

_BINARY: Final[Mapping[str, Callable[[float, float], float]]] = {
    "Mul": lambda one, other: one * other,
    "Sub": lambda one, other: one - other,
    "Add": lambda one, other: one + other,
    "AddV2": lambda one, other: one + other,
    "RealDiv": lambda one, other: one / other,
    "Maximum": max,
    "Minimum": min,
}
_UNARY: Final[Mapping[str, Callable[[float], float]]] = {
    "Sqrt": math.sqrt,
    "Rsqrt": lambda one: 1 / math.sqrt(one),
    "Reciprocal": lambda one: 1 / one,
    "Neg": lambda one: -one,
}
#: Operations that compute a constant from constants.
FOLDED: Final = frozenset({*_BINARY, *_UNARY})


def numbers_of(tensor: memoryview) -> Numbers | None:
    """Return the numbers of an encoded TensorProto; None if it has others or too many.

    A number that stands for all is returned once.
    """
    dtype, found = 0, list[float]()
    for field, value in fields(tensor):
        if field == _DTYPE and isinstance(value, int):
            dtype = value
        elif field == _CONTENT and isinstance(value, memoryview):
            found += _unpacked(_FORMATS.get(dtype, ""), value)
        elif field in _LISTS:
            found += _listed(_LISTS[field], value)
        if len(found) > MAX_NUMBERS:
            return None
    return tuple(found) if found and dtype in _FORMATS else None


def _unpacked(form: str, data: memoryview) -> Sequence[float]:
    size = struct.calcsize(form) if form else 0
    if not size or len(data) % size or len(data) > size * (MAX_NUMBERS + 1):
        return [math.nan] * (MAX_NUMBERS + 1)
    return [float(value) for (value,) in struct.iter_unpack(form, data)]


def _listed(form: str, value: int | memoryview) -> Sequence[float]:
    if isinstance(value, int):
        return [_signed(value)]
    if form:
        return _unpacked(form, value)
    return [*map(_signed, islice(varints(value), MAX_NUMBERS + 1))]


def _signed(value: int) -> float:
    """Return the number of a varint, which writes negative ones as unsigned ones of 64 bits."""
    return float(value - 2**64 if value >= 2**63 else value)


def folded(op: str, operands: Sequence[Numbers]) -> Numbers | None:
    """Return the result of an operation on constants; None if it is not known."""
    try:
        if op in _UNARY:
            return tuple(map(_UNARY[op], operands[0]))
        one, other = (broadcast(each, max(map(len, operands))) for each in operands)
        return tuple(map(_BINARY[op], one, other))
    except (ArithmeticError, LookupError, ValueError):
        return None


def broadcast(numbers: Numbers, length: int) -> Numbers:
    """Return so many numbers, of a single one copies; raise ValueError for another number."""
    if len(numbers) not in (1, length):
        raise ValueError(f"{len(numbers)} numbers are not {length}")
    return numbers * length if len(numbers) == 1 else numbers
