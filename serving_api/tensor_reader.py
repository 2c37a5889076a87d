"""Read TensorProtos into numpy arrays, as TensorFlow does. Pure.

Reading has two steps, so that callers can make other checks between them, in the order of
TensorFlow Serving: ``parse`` finds the fields, and raises Internal where the bytes are no
TensorProto; ``to_array`` makes the array, and raises InvalidArgument where they are no tensor.
Numbers are not turned into Python objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from model_catalog.protos import MESSAGES, number
from serving_api import protobuf_wire as wire
from serving_api.errors import InvalidArgument, ResourceExhausted
from serving_api.messages import message
from serving_api.tensor_types import STRING, TensorType, tensor_type

#: The most values of a string tensor; each is an object.
MAX_STRINGS: Final = 1 << 20
#: Called with the bytes that are about to be allocated; may raise an error.
Reserve = Callable[[int], None]

_MAX_RANK: Final = 254
_NUMPY_RANK: Final = 64
_MAX_ELEMENTS: Final = 2**63 - 1
#: The same limit for the sizes beside a zero, whose product numpy computes in bytes.
_MAX_BESIDE_ZERO: Final = _MAX_ELEMENTS // 16
#: Memory of one string in TensorFlow, without its bytes.
_STRING_BYTES: Final = 32
#: Memory of a varint while it is read.
_VARINT_BYTES: Final = 8
#: Fields with one number each, beyond which protobuf packs them.
_MAX_UNPACKED: Final = 1000

_DTYPE: Final = number("Tensor", "dtype")
_SHAPE: Final = number("Tensor", "tensor_shape")
_CONTENT: Final = number("Tensor", "tensor_content")
_STRINGS: Final = number("Tensor", "string_val")
#: The wire types of an element, and the size if it is fixed, for each field with values.
_VALUES: Final = {
    place: {"float": (wire.FIXED32, 4), "double": (wire.FIXED64, 8)}.get(kind[1:], (wire.VARINT, 0))
    for name, (place, kind) in MESSAGES["Tensor"].items()
    if kind.startswith("*") and name != "string_val"
}


class _TooManyFields(Exception):
    """The numbers are not packed, and there are many of them."""


@dataclass(slots=True)
class TensorFields:
    """The fields of a TensorProto; values are the bytes of their packed fields."""

    dtype: int = 0
    sizes: tuple[int, ...] = ()
    content: memoryview | None = None
    values: dict[int, list[memoryview]] = field(default_factory=dict)


def parse(view: memoryview) -> TensorFields:
    """Return the fields of a serialized TensorProto, or raise Internal."""
    try:
        return _parsed(view)
    except _TooManyFields:
        try:
            packed = message("Tensor").FromString(view)
        except DecodeError as error:
            raise wire.malformed() from error
        packed.DiscardUnknownFields()
        return _parsed(memoryview(packed.SerializeToString()))


def _parsed(view: memoryview) -> TensorFields:
    tensor = TensorFields()
    shape: list[memoryview] = []
    strings: list[memoryview] = []
    for count, (place, kind, data) in enumerate(wire.fields(view)):
        if place in _VALUES:
            if _is_value(place, kind, data):
                tensor.values.setdefault(place, []).append(data)
        elif place == _DTYPE and kind == wire.VARINT:
            tensor.dtype = wire.number(data) & 0xFFFFFFFF
        elif kind == wire.BYTES:
            _take_bytes(tensor, shape, strings, place, data)
        if count - len(strings) > _MAX_UNPACKED:
            raise _TooManyFields
    tensor.values[_STRINGS] = strings
    if shape:
        tensor.sizes = _sizes(shape[0] if len(shape) == 1 else b"".join(shape))
    return tensor


def _take_bytes(
    tensor: TensorFields,
    shape: list[memoryview],
    strings: list[memoryview],
    place: int,
    data: memoryview,
) -> None:
    if place == _CONTENT:
        tensor.content = data
    elif place == _SHAPE:
        shape.append(data)
    elif place == _STRINGS:
        strings.append(data)
        if len(strings) > MAX_STRINGS:
            raise _too_many_strings()


def _is_value(place: int, kind: int, data: memoryview) -> bool:
    """Tell whether a field holds values, packed or one; raise Internal if it is broken."""
    element, size = _VALUES[place]
    if kind == wire.BYTES:
        if size and len(data) % size or not size and len(data) and data[-1] > 127:
            raise wire.malformed()
        return True
    return kind == element


def _sizes(data: bytes | memoryview) -> tuple[int, ...]:
    try:
        shape = message("Shape").FromString(data)
    except DecodeError as error:
        raise wire.malformed() from error
    return tuple([dim.size for dim in shape.dim])


def _unlimited(_: int) -> None:
    """Reserve nothing."""


def to_array(tensor: TensorFields, reserve: Reserve = _unlimited) -> NDArray[Any]:
    """Return the tensor; the last value is repeated for missing ones, values beyond are ignored.

    Raises InvalidArgument for an invalid tensor. Where possible, the array is a read-only view of
    the request; ``reserve`` is called with the memory that it takes otherwise.
    """
    count = _element_count(tensor.sizes)
    if tensor.dtype == STRING:
        reserve(count * _STRING_BYTES + _string_bytes(tensor))
        return _strings(tensor, count).reshape(tensor.sizes)
    kind = tensor_type(tensor.dtype)
    if kind is None:
        raise InvalidArgument(f"Tensors of type number {tensor.dtype} cannot be read")
    return _numbers(tensor, kind, count, reserve).reshape(tensor.sizes)


def _element_count(sizes: tuple[int, ...]) -> int:
    if len(sizes) > _MAX_RANK:
        raise InvalidArgument(f"A tensor has {len(sizes)} dimensions")
    count = 1
    for size in sizes:
        count *= size
        if size < 0 or count > _MAX_ELEMENTS:
            raise InvalidArgument(f"A tensor has the shape {list(sizes)}")
    if len(sizes) > _NUMPY_RANK:
        raise InvalidArgument(
            f"A tensor has {len(sizes)} dimensions; at most {_NUMPY_RANK} are allowed"
        )
    if not count and prod(filter(None, sizes)) > _MAX_BESIDE_ZERO:
        raise InvalidArgument(f"A tensor has the shape {list(sizes)}")
    return count


def _too_many_strings() -> ResourceExhausted:
    return ResourceExhausted(f"A tensor has more than {MAX_STRINGS} strings")


def _string_bytes(tensor: TensorFields) -> int:
    return len(tensor.content or b"") or sum(map(len, tensor.values.get(_STRINGS, ())))


def _strings(tensor: TensorFields, count: int) -> NDArray[Any]:
    if tensor.content and count:
        values = _strings_in_content(tensor.content, count)
    else:
        values = [bytes(view) for view in tensor.values.get(_STRINGS, ())[:count]]
    array = np.empty(count, dtype=object)  # full() would copy the string several times
    array[: len(values)] = values
    array[len(values) :].fill(values[-1] if values else b"")
    return array


def _strings_in_content(content: memoryview, count: int) -> list[bytes]:
    """Read ``count`` lengths as varints, and the strings that follow them."""
    if count > MAX_STRINGS:
        raise _too_many_strings()
    data = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(data < 128)[:count]
    if len(ends) < count:
        raise InvalidArgument("A string tensor has too few lengths")
    start = int(ends[-1]) + 1
    lengths = wire.varints(content[:start], count)
    if int(lengths.max()) > len(content) or int(lengths.sum()) != len(content) - start:
        raise InvalidArgument("The lengths of a string tensor do not match its content")
    stops = np.cumsum(lengths.astype(np.int64)) + start
    starts = stops - lengths.astype(np.int64)
    return [bytes(content[a:b]) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]


def _numbers(tensor: TensorFields, kind: TensorType, count: int, reserve: Reserve) -> NDArray[Any]:
    if not count:
        return np.empty(0, kind.dtype)
    if tensor.content:
        return _from_content(tensor.content, kind, count)
    views = tensor.values.get(kind.field, [])
    if kind.parts is None:
        reserve(min(count, sum(map(len, views))) * _VARINT_BYTES)
    packed = views[0] if len(views) == 1 else memoryview(b"".join(views))
    values = _unpacked(packed, kind, count)
    if len(values) < count:
        reserve(count * kind.dtype.itemsize)
        filled = np.empty(count, kind.plain)
        filled[: len(values)] = values
        filled[len(values) :] = values[-1] if len(values) else 0
        values = filled
    return values.view(kind.dtype)


def _from_content(content: memoryview, kind: TensorType, count: int) -> NDArray[Any]:
    if len(content) != count * kind.dtype.itemsize:
        raise InvalidArgument(f"A tensor of {count} values has {len(content)} bytes")
    if kind.dtype == np.bool_ and np.frombuffer(content, np.uint8).max() > 1:
        raise InvalidArgument("A bool is neither 0 nor 1")
    return np.frombuffer(content, kind.dtype)


def _unpacked(packed: memoryview, kind: TensorType, count: int) -> NDArray[Any]:
    """Return at most ``count`` values of a packed field."""
    if kind.parts is None:
        values = wire.varints(packed, count)
        if kind.dtype == np.bool_:
            return values.astype(np.bool_)
        if kind.plain.kind not in "iu":  # 16-bit floats: the field holds their bits
            return values.astype(np.uint16).view(kind.dtype)
        return values.astype(kind.plain)
    size = kind.dtype.itemsize
    whole = min(len(packed) // size, count) * size
    return np.frombuffer(packed[:whole], kind.dtype)
