"""Read the names of a SavedModel's signatures and the sizes of their outputs.

Decodes protobuf's wire format itself and not with the protobuf package, since the check of model
folders runs before any package is installed. Only the fields on the way to the signatures are
decoded. Every error is a ``DamagedGraph``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model_catalog.errors import CatalogError
from model_catalog.protos import number

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTH = {_FIXED64: 8, _FIXED32: 4}

_META_GRAPHS = number("SavedModel", "meta_graphs")
_SIGNATURES = number("MetaGraphDef", "signature_def")
_KEY, _VALUE = number("SignatureDefEntry", "key"), number("SignatureDefEntry", "value")
_INPUTS, _OUTPUTS = number("SignatureDef", "inputs"), number("SignatureDef", "outputs")
_DTYPE, _SHAPE = number("TensorInfo", "dtype"), number("TensorInfo", "tensor_shape")
_DIMENSIONS = number("Shape", "dim")
_SIZE = number("ShapeDim", "size")

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


@dataclass(frozen=True)
class Tensor:
    """One input or output of a signature."""

    name: str

    dtype: int
    """A number of TensorFlow's enum DataType."""

    shape: tuple[int | None, ...]
    """None where a size is unknown; empty where the number of dimensions is."""


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a signature."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_signature(graph: bytes, wanted: str) -> Signature:
    """Return the inputs and outputs of a signature; none of either where it is absent."""
    for meta_graph in _messages(memoryview(graph), _META_GRAPHS):
        for name, signature in _map(meta_graph, _SIGNATURES):
            if name == wanted:
                return Signature(_tensors(signature, _INPUTS), _tensors(signature, _OUTPUTS))
    return Signature((), ())


def _tensors(signature: memoryview, side: int) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, int(dict(_fields(tensor)).get(_DTYPE, 0)), _shape(tensor))
        for name, tensor in _map(signature, side)
    )


def _last_dimension(tensor: memoryview) -> int | None:
    shape = _shape(tensor)
    return shape[-1] if shape else None


def _shape(tensor: memoryview) -> tuple[int | None, ...]:
    sizes = [
        dict(_fields(dimension)).get(_SIZE, 0)
        for shape in _messages(tensor, _SHAPE)
        for dimension in _messages(shape, _DIMENSIONS)
    ]
    # An unknown dimension is -1, which a varint encodes as an unsigned number of 64 bits.
    return tuple(size if isinstance(size, int) and 0 < size < 2**63 else None for size in sizes)


def _map(data: memoryview, field: int) -> Iterator[tuple[str, memoryview]]:
    for entry in _messages(data, field):
        parts = dict(_fields(entry))
        key, value = parts.get(_KEY, memoryview(b"")), parts.get(_VALUE, memoryview(b""))
        if isinstance(key, memoryview) and isinstance(value, memoryview):
            yield bytes(key).decode(errors="replace"), value


def _messages(data: memoryview, field: int) -> Iterator[memoryview]:
    for found, value in _fields(data):
        if found == field and isinstance(value, memoryview):
            yield value


def _fields(data: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
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
