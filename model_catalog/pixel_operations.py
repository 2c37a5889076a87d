"""Find what a signature does to its input before its first layer.

Only what the file says is found: resizing, and arithmetic with constants. The values of variables
are in other files, and loops over images, branches and operations that are not in these tables end
the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from model_catalog.graph_nodes import (
    Node,
    arguments_of,
    library_of,
    nodes_of,
    nodes_of_function,
    results_of,
    texts,
)
from model_catalog.protos import number
from model_catalog.tensor_constants import FOLDED, Numbers, folded, numbers_of
from model_catalog.wire import entries, messages

#: Operations that compute a layer.
LAYERS: Final = frozenset(
    {
        *("Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "XlaConvV2"),
        *("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "XlaDotV2"),
        *("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "MaxPool", "AvgPool"),
    }
)
RESIZES: Final = frozenset(
    {
        *("ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor", "ResizeArea"),
        *("ScaleAndTranslate", "CropAndResize"),
    }
)
_ARITHMETIC: Final = frozenset({"Mul", "Sub", "Add", "AddV2", "BiasAdd", "RealDiv", "Div"})
#: Operations that keep the range of pixels, which are their first input.
_SAME: Final = frozenset(
    {
        *("Identity", "Cast", "StopGradient", "EnsureShape", "Snapshot", "CheckNumerics"),
        *("Reshape", "Squeeze", "ExpandDims", "Transpose", "Pad", "PadV2", "MirrorPad"),
        *("ReverseV2", "StridedSlice", "Slice", "ClipByValue", "PlaceholderWithDefault"),
    }
)
#: Operations that read the shape of an image and nothing else.
_SHAPES: Final = frozenset({"Shape", "ShapeN", "Size", "Rank"})
_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})

#: Limits of the search, which crafted graphs would make endless.
_MAX_STEPS, _MAX_DEPTH = 200, 10

#: A graph that divides pixels by this, or moves them so far, was made for pixels from 0 to 255.
_LEAST_DIVISOR, _LEAST_OFFSET = 16.0, 16.0

_NO_CHANGE: Final = (1.0,), (0.0,)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelOperations:
    """What a signature does to its input before its first layer."""

    steps: tuple[str, ...] = ()
    """Resizing and arithmetic, such as ``Mul 0.00392157``, in their order."""

    factors: Numbers = _NO_CHANGE[0]
    offsets: Numbers = _NO_CHANGE[1]
    """Together they make ``pixel * factor + offset``, once or channel by channel."""

    end: str = ""
    """The operation at which the search ended; empty for an input that nothing reads."""

    @property
    def is_complete(self) -> bool:
        """Whether the first layer was reached, so that nothing was missed."""
        return self.end in LAYERS

    @property
    def is_for_raw_pixels(self) -> bool:
        """Whether the numbers bring pixels from 0 to 255 into the range of a model."""
        largest = max(map(abs, self.factors))
        return largest <= 1 / _LEAST_DIVISOR or max(map(abs, self.offsets)) >= _LEAST_OFFSET

    @property
    def scales(self) -> bool:
        """Whether pixels are changed by arithmetic."""
        return (self.factors, self.offsets) != _NO_CHANGE

    def value_range(self) -> tuple[float, float]:
        """Return the least and the greatest number that pixels from 0 to 255 become."""
        pairs = list(zip(self.factors, self.offsets, strict=True))
        values = [pixel * factor + offset for factor, offset in pairs for pixel in (0, 255)]
        return min(values), max(values)


#: A node that reads a tensor: its name, itself, and which of its inputs the tensor is.
_Reader = tuple[str, Node, int]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A graph, or a call of a function."""

    nodes: Mapping[str, Node]
    readers: Mapping[str, Sequence[_Reader]]
    """Those of each tensor, without those that read its shape only."""

    library: Mapping[str, memoryview]

    arguments: Mapping[str, str] = field(default_factory=dict)
    """The tensors of the caller by the names of the function's arguments."""

    caller: _Frame | None = None
    call: str = ""
    """The name of the node that calls the function."""

    results: Mapping[str, str] = field(default_factory=dict)
    """The names of results, by the tensor that is returned."""

    order: tuple[str, ...] = ()
    """The names of all results, in the order of the call's outputs."""


class _Stop(Exception):
    """The search ends at this operation."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation


def pixel_operations(graph: bytes, signature: str, name: str) -> PixelOperations | None:
    """Return the operations on an input of a signature; None if it has no such input.

    ``graph`` is the content of ``saved_model.pb``. Raises DamagedGraph for damaged bytes.
    """
    for meta_graph in messages(memoryview(graph), number("SavedModel", "meta_graphs")):
        tensor = _input_tensor(meta_graph, signature, name)
        for whole in messages(meta_graph, number("MetaGraphDefWithGraph", "graph_def")):
            if tensor is not None:
                nodes = nodes_of(whole)
                frame = _Frame(nodes, _readers(nodes), library_of(whole))
                return _followed(frame, _canonical(tensor))
    return None


def _input_tensor(meta_graph: memoryview, signature: str, name: str) -> str | None:
    for known, definition in entries(meta_graph, number("MetaGraphDef", "signature_def")):
        for alias, info in entries(definition, number("SignatureDef", "inputs")):
            if (known, alias) == (signature, name):
                return next(texts(info, number("TensorInfo", "name")), None)
    return None


def _readers(nodes: Mapping[str, Node]) -> Mapping[str, Sequence[_Reader]]:
    found: dict[str, list[_Reader]] = {}
    for name, node in nodes.items():
        for position, read in enumerate(node.inputs):
            if node.op not in _SHAPES and not read.startswith("^"):
                found.setdefault(_canonical(read), []).append((name, node, position))
    return found


def _followed(frame: _Frame, tensor: str) -> PixelOperations:
    found = PixelOperations()
    for _ in range(_MAX_STEPS):
        try:
            step = _next(frame, tensor)
            if step is None:
                frame, tensor = _returned(frame, tensor)
                continue
            name, node, position = step
            if _function_of(frame, node) is not None:
                frame, tensor = _called(frame, name, node, position)
                continue
            found = _applied(found, frame, node, position)
            tensor = f"{name}:0"
        except _Stop as stop:
            return replace(found, end=stop.operation)
    return found


def _next(frame: _Frame, tensor: str) -> _Reader | None:
    """Return the only node that reads the tensor; None if none does, as of a function's result."""
    readers = frame.readers.get(tensor, ())
    layers = [node.op for _, node, _ in readers if node.op in LAYERS]
    if layers and len(layers) == len(readers):
        raise _Stop(layers[0])
    if len(readers) > 1:
        raise _Stop(f"a branch to {readers[0][1].op} and {readers[1][1].op}")
    return readers[0] if readers else None


def _returned(frame: _Frame, tensor: str) -> tuple[_Frame, str]:
    """Return the caller, and its tensor of the result that the function's tensor is."""
    result = frame.results.get(tensor)
    if frame.caller is None or result not in frame.order:
        raise _Stop("")
    return frame.caller, f"{frame.call}:{frame.order.index(result)}"


def _function_of(frame: _Frame, node: Node) -> memoryview | None:
    names = node.functions() if node.op in _CALLS else (node.op,)
    return next((frame.library[name] for name in names if name in frame.library), None)


def _called(frame: _Frame, name: str, node: Node, position: int) -> tuple[_Frame, str]:
    """Return the function that a node calls, and its argument at this position."""
    function = _function_of(frame, node)
    assert function is not None  # noqa: S101 - the caller has looked
    names = arguments_of(function)
    if position >= len(names):
        raise _Stop(node.op)
    nodes = nodes_of_function(function)
    inside = _Frame(
        nodes,
        _readers(nodes),
        frame.library,
        arguments=dict(zip(names, node.inputs, strict=False)),
        caller=frame,
        call=name,
        results={_canonical(tensor): result for result, tensor in results_of(function).items()},
        order=tuple(arguments_of(function, "output_arg")),
    )
    return inside, f"{names[position]}:0"


def _applied(found: PixelOperations, frame: _Frame, node: Node, position: int) -> PixelOperations:
    """Return what is done to pixels up to this node, or raise _Stop."""
    if node.op in RESIZES and position == 0:
        return replace(found, steps=(*found.steps, node.op))
    if node.op in _SAME and position == 0:
        return found
    if node.op not in _ARITHMETIC:
        raise _Stop(node.op)
    other = _constant(frame, node.inputs[1 - position])
    if other is None:
        raise _Stop(f"{node.op} with a value that is not in the graph")
    factors, offsets = _affine(node.op, position, found, other)
    if (factors, offsets) == (found.factors, found.offsets):
        return found
    shown = ", ".join(f"{value:g}" for value in other)
    return replace(
        found, steps=(*found.steps, f"{node.op} {shown}"), factors=factors, offsets=offsets
    )


def _affine(
    op: str, position: int, found: PixelOperations, other: Numbers
) -> tuple[Numbers, Numbers]:
    """Return the factors and offsets after an operation with a constant, or raise _Stop."""
    factors: Numbers | None = found.factors
    offsets: Numbers | None
    if op in ("Mul", "RealDiv", "Div"):
        if op != "Mul" and position == 1:
            raise _Stop(op)
        kind = "Mul" if op == "Mul" else "RealDiv"
        factors = folded(kind, (found.factors, other))
        offsets = folded(kind, (found.offsets, other))
    elif op == "Sub" and position == 1:
        factors, offsets = folded("Neg", (found.factors,)), folded("Sub", (other, found.offsets))
    else:
        offsets = folded("Sub" if op == "Sub" else "AddV2", (found.offsets, other))
    if factors is None or offsets is None:
        raise _Stop(op)
    length = max(len(factors), len(offsets))
    spread = [each * length if len(each) == 1 else each for each in (factors, offsets)]
    return spread[0], spread[1]


def _constant(frame: _Frame, tensor: str, depth: int = 0) -> Numbers | None:
    """Return the numbers of a tensor that only depends on constants, else None."""
    name = tensor.partition(":")[0]
    node = frame.nodes.get(name)
    if depth > _MAX_DEPTH:
        return None
    if node is None:
        outside, caller = frame.arguments.get(name), frame.caller
        return _constant(caller, outside, depth + 1) if caller and outside else None
    if node.op == "Const":
        value = node.tensor()
        return None if value is None else numbers_of(value)
    if node.op in _SAME and node.inputs:
        return _constant(frame, node.inputs[0], depth + 1)
    reads = [read for read in node.inputs if not read.startswith("^")]
    if node.op not in FOLDED or len(reads) > 2:
        return None
    operands = [_constant(frame, read, depth + 1) for read in reads]
    known_operands = [each for each in operands if each is not None]
    return folded(node.op, known_operands) if len(known_operands) == len(operands) else None


def _canonical(tensor: str) -> str:
    """Return ``name:index`` of ``name``, ``name:0`` or a function's ``name:output:0``."""
    name, *rest = tensor.split(":")
    return f"{name}:{rest[-1] if rest else 0}"
