"""Read and write the entries of a map from names to tensors, as in Predict messages. Pure."""

from __future__ import annotations

from typing import Final

from model_catalog.protos import number
from serving_api import protobuf_wire as wire
from serving_api import tensor_reader
from serving_api.tensor_reader import TensorFields

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
    key = wire.length_delimited(_KEY, name.encode())
    value = wire.head(_VALUE, len(tensor))
    return [wire.head(field, len(key) + len(value) + len(tensor)), key, value, tensor]
