"""Read the names of a SavedModel's signatures and the sizes of their outputs.

The protobuf wire format is parsed here without a library, and only the fields that lead to the
signatures are used. Every error is a ``DamagedGraph``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from model_catalog.errors import CatalogError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}

# Field numbers of TensorFlow's saved_model.proto, meta_graph.proto and tensor_shape.proto.
_META_GRAPHS = 2
_SIGNATURES = 5
_KEY, _VALUE = 1, 2
_OUTPUTS = 2
_SHAPE = 3
_DIMENSIONS = 2
_SIZE = 1

Field = tuple[int, "int | memoryview"]


class DamagedGraph(CatalogError):
    """The bytes are not a valid ``saved_model.pb``."""


def output_sizes(graph: bytes) -> Mapping[str, Mapping[str, int | None]]:
    """Return the size of the last dimension by signature and output; None where it is unknown."""
    found: dict[str, dict[str, int | None]] = {}
    for meta_graph in _messages(memoryview(graph), _META_GRAPHS):
        for name, signature in _map(meta_graph, _SIGNATURES):
            outputs = _map(signature, _OUTPUTS)
            found[name] = {output: _last_dimension(tensor) for output, tensor in outputs}
    return found


def _last_dimension(tensor: memoryview) -> int | None:
    sizes = [
        dict(_fields(dimension)).get(_SIZE, 0)
        for shape in _messages(tensor, _SHAPE)
        for dimension in _messages(shape, _DIMENSIONS)
    ]
    # An unknown dimension is -1, which a varint encodes as an unsigned number of 64 bits.
    last = sizes[-1] if sizes else None
    return last if isinstance(last, int) and 0 < last < 2**63 else None


def _map(data: memoryview, field: int) -> Iterator[tuple[str, memoryview]]:
    for entry in _messages(data, field):
        parts = dict(_fields(entry))
        key, value = parts.get(_KEY, memoryview(b"")), parts.get(_VALUE, memoryview(b""))
        if isinstance(key, memoryview) and isinstance(value, memoryview):
            yield bytes(key).decode(errors="replace"), value


def _messages(data: memoryview, field: int) -> Iterator[memoryview]:
    for number, value in _fields(data):
        if number == field and isinstance(value, memoryview):
            yield value


def _fields(data: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            length, at = _varint(data, at)
        elif kind in _WIDTH:
            length = _WIDTH[kind]
        else:
            raise DamagedGraph(f"wire type {kind} does not exist")
        if at + length > len(data):
            raise DamagedGraph(f"{len(data)} bytes where {at + length} were announced")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise DamagedGraph("it ends inside a number")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise DamagedGraph("a number of more than ten bytes")
