"""Read the names of a SavedModel's signatures and the sizes of their outputs.

Only the fields on the way to the signatures are decoded. Every error is a ``DamagedGraph``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_catalog.protos import number
from model_catalog.wire import DamagedGraph as DamagedGraph
from model_catalog.wire import entries, fields, messages

_META_GRAPHS = number("SavedModel", "meta_graphs")
_SIGNATURES = number("MetaGraphDef", "signature_def")
_INPUTS, _OUTPUTS = number("SignatureDef", "inputs"), number("SignatureDef", "outputs")
_DTYPE, _SHAPE = number("TensorInfo", "dtype"), number("TensorInfo", "tensor_shape")
_DIMENSIONS = number("Shape", "dim")
_SIZE = number("ShapeDim", "size")


def output_sizes(graph: bytes) -> Mapping[str, Mapping[str, int | None]]:
    """Return the size of the last dimension by signature and output; None where it is unknown."""
    found: dict[str, dict[str, int | None]] = {}
    for meta_graph in messages(memoryview(graph), _META_GRAPHS):
        for name, signature in entries(meta_graph, _SIGNATURES):
            outputs = entries(signature, _OUTPUTS)
            found[name] = {output: _last_dimension(tensor) for output, tensor in outputs}
    return found


@dataclass(frozen=True)
class Tensor:
    """One input or output of a signature."""

    name: str

    dtype: int
    """A number of TensorFlow's enum DataType."""

    shape: tuple[int | None, ...]
    """None where a size is unknown.

    Empty for a scalar, and where the number of dimensions is unknown."""


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a signature."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_signature(graph: bytes, wanted: str) -> Signature:
    """Return the inputs and outputs of a signature; none of either where it is absent."""
    for meta_graph in messages(memoryview(graph), _META_GRAPHS):
        for name, signature in entries(meta_graph, _SIGNATURES):
            if name == wanted:
                return Signature(_tensors(signature, _INPUTS), _tensors(signature, _OUTPUTS))
    return Signature((), ())


def _tensors(signature: memoryview, side: int) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, int(dict(fields(tensor)).get(_DTYPE, 0)), _shape(tensor))
        for name, tensor in entries(signature, side)
    )


def _last_dimension(tensor: memoryview) -> int | None:
    shape = _shape(tensor)
    return shape[-1] if shape else None


def _shape(tensor: memoryview) -> tuple[int | None, ...]:
    sizes = [
        dict(fields(dimension)).get(_SIZE, 0)
        for shape in messages(tensor, _SHAPE)
        for dimension in messages(shape, _DIMENSIONS)
    ]
    # An unknown dimension is -1, which a varint encodes as an unsigned number of 64 bits.
    return tuple(size if isinstance(size, int) and 0 < size < 2**63 else None for size in sizes)
