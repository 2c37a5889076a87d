"""Write numpy arrays as serialized TensorProtos, as TensorFlow does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_catalog.protos import number
from serving_api import protobuf_wire as wire
from serving_api.dtypes import short_name
from serving_api.errors import Unimplemented
from serving_api.tensor_types import STRING, dtype_number, dtype_of, tensor_type

#: Bytes, or memory of an array in C order.
Piece = bytes | memoryview

_DTYPE: Final = wire.varint(number("Tensor", "dtype") << 3)
_SHAPE: Final = number("Tensor", "tensor_shape")
_CONTENT: Final = number("Tensor", "tensor_content")
_STRINGS: Final = number("Tensor", "string_val")
_DIM: Final = number("Shape", "dim")
_SIZE: Final = wire.varint(number("ShapeDim", "size") << 3)


def tensor_bytes(array: NDArray[Any], *, as_content: bool = False, declared: str = "") -> bytes:
    """Return the TensorProto of an array.

    The values stand in the field of their type, or with ``as_content`` in ``tensor_content``.
    ``declared`` is the declared type by its short name: arrays of quantised types are plain
    integers. Raises Unimplemented for a type that TensorProtos do not have.
    """
    try:
        dtype = dtype_of(declared) if declared.startswith("q") else dtype_number(array)
    except KeyError as error:
        raise Unimplemented(f"Tensors of type {short_name(array)} cannot be written") from error
    values = b"" if not array.size else _values(array, dtype, as_content=as_content)
    return _head(dtype, array.shape) + values


def content_pieces(dtype: int, shape: Sequence[int], content: Sequence[Piece]) -> list[Piece]:
    """Return the pieces of a TensorProto with ``tensor_content``, whose bytes come in pieces too.

    They are joined later, so that a large tensor is copied once.
    """
    size = sum(memoryview(piece).nbytes for piece in content)
    return [_head(dtype, shape), wire.head(_CONTENT, size), *content]


def string_pieces(strings: Sequence[Piece], *, is_scalar: bool = False) -> list[Piece]:
    """Return the pieces of a TensorProto with a vector of strings, or one string; joined later."""
    heads = (wire.head(_STRINGS, memoryview(string).nbytes) for string in strings)
    fields = zip(heads, strings, strict=True)
    shape = () if is_scalar else (len(strings),)
    return [_head(STRING, shape), *(piece for field in fields for piece in field)]


def _head(dtype: int, shape: Sequence[int]) -> bytes:
    """Return the fields before the values."""
    dims = b"".join(
        wire.length_delimited(_DIM, _SIZE + wire.varint(size) if size else b"") for size in shape
    )
    return b"".join((_DTYPE, wire.varint(dtype), wire.head(_SHAPE, len(dims)), dims))


def _values(array: NDArray[Any], dtype: int, *, as_content: bool) -> bytes:
    if dtype == STRING:
        return _strings(array.reshape(-1).tolist(), as_content=as_content)
    kind = tensor_type(dtype)
    assert kind is not None  # noqa: S101 - every type of dtype_number but strings is one
    plain = np.ascontiguousarray(array).view(kind.plain) if array.dtype.names else array
    if as_content:
        return wire.length_delimited(_CONTENT, plain.astype(kind.plain, copy=False).tobytes())
    if kind.parts is not None:
        return wire.length_delimited(kind.field, plain.astype(kind.dtype, copy=False).tobytes())
    if plain.dtype.kind not in "biu":  # 16-bit floats: the field holds their bits
        plain = np.ascontiguousarray(plain).view(np.uint16)
    return wire.length_delimited(kind.field, wire.packed_varints(plain))


def _strings(values: list[bytes], *, as_content: bool) -> bytes:
    if as_content:
        content = b"".join([*(wire.varint(len(value)) for value in values), *values])
        return wire.length_delimited(_CONTENT, content)
    return b"".join([wire.length_delimited(_STRINGS, value) for value in values])
