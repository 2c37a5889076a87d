"""Read and write the entries of a map from names to tensors, as in Predict messages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from model_catalog.protos import number
from serving_api import protobuf_wire as wire
from serving_api import tensor_reader
from serving_api.tensor_reader import TensorFields
from serving_api.tensor_writer import Piece

_KEY: Final = number("TensorEntry", "key")
_VALUE: Final = number("TensorEntry", "value")


def read_entry(data: memoryview) -> tuple[str, TensorFields]:
    """Return name and tensor; without a value it is an empty TensorProto."""
    name = ""
    values: list[memoryview] = []
    for place, kind, content in wire.fields(data):
        if kind == wire.BYTES and place == _KEY:
            name = wire.text(content)
        elif kind == wire.BYTES and place == _VALUE:
            values.append(content)
    tensor = values[0] if len(values) == 1 else memoryview(b"".join(values))
    return name, tensor_reader.parse(tensor)


def entry_parts(field: int, name: str, tensor: bytes) -> list[bytes]:
    """Return the pieces of a field that holds one entry; joined later, so once."""
    return [_entry_head(field, name, len(tensor)), tensor]


def entry_pieces(field: int, name: str, tensor: Sequence[Piece]) -> list[Piece]:
    """Return the pieces of a field that holds one entry, whose tensor comes in pieces too."""
    size = sum(memoryview(piece).nbytes for piece in tensor)
    return [_entry_head(field, name, size), *tensor]


def _entry_head(field: int, name: str, size: int) -> bytes:
    """Return the bytes before a tensor of this size."""
    key = wire.length_delimited(_KEY, name.encode())
    value = wire.head(_VALUE, size)
    return wire.head(field, len(key) + len(value) + size) + key + value
