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


def entry_pieces(field: int, name: str, tensor: Sequence[Piece]) -> list[Piece]:
    """Return the pieces of a field that holds one entry.

    Callers join them, so that the tensor is copied once.
    """
    size = sum(memoryview(piece).nbytes for piece in tensor)
    key = wire.length_delimited(_KEY, name.encode())
    value = wire.head(_VALUE, size)
    return [wire.head(field, len(key) + len(value) + size) + key + value, *tensor]
