"""Find random operations in a SavedModel's graph, as far as the outputs of a signature need them.

A model whose ``serving_default`` needs them answers the same image differently each time. Keras 3
writes such models: ``model.export()`` leaves augmentation layers switched on. Operations with
constant seeds count as well, since they change images that should stay as they are.

Graphs without the name of a random operation, which are most, cost one search of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from model_catalog.protos import number
from model_catalog.wire import entries, fields, messages

RANDOM: Final = frozenset(
    {
        "Multinomial",
        "NonDeterministicInts",
        "ParameterizedTruncatedNormal",
        "RandomCrop",
        "RandomGamma",
        "RandomIndexShuffle",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "SampleDistortedBoundingBox",
        "SampleDistortedBoundingBoxV2",
        "StatefulRandomBinomial",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
        "StatefulUniform",
        "StatefulUniformFullInt",
        "StatefulUniformInt",
        "StatelessMultinomial",
        "StatelessParameterizedTruncatedNormal",
        "StatelessRandomBinomial",
        "StatelessRandomGammaV2",
        "StatelessRandomGammaV3",
        "StatelessRandomNormal",
        "StatelessRandomNormalV2",
        "StatelessRandomPoisson",
        "StatelessRandomUniform",
        "StatelessRandomUniformFullInt",
        "StatelessRandomUniformFullIntV2",
        "StatelessRandomUniformInt",
        "StatelessRandomUniformIntV2",
        "StatelessRandomUniformV2",
        "StatelessSampleDistortedBoundingBox",
        "StatelessShuffle",
        "StatelessTruncatedNormal",
        "StatelessTruncatedNormalV2",
        "TruncatedNormal",
    }
)
"""TensorFlow's operations that return random numbers."""

_NAME, _OP = number("NodeDef", "name"), number("NodeDef", "op")
_INPUT, _ATTR = number("NodeDef", "input"), number("NodeDef", "attr")

#: The field ``op`` of a node with a random operation, as the file has it.
_CANDIDATE = re.compile(
    bytes([_OP << 3 | 2])
    + b"(?:%b)" % b"|".join(bytes([len(name)]) + name.encode() for name in sorted(RANDOM))
)


@dataclass(frozen=True, slots=True)
class _Node:
    op: str

    inputs: tuple[str, ...]
    """Names of the nodes that it reads."""

    functions: tuple[str, ...]
    """Names of the functions that it may call."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """The nodes of a graph or function by name, and those that compute its results."""

    nodes: Mapping[str, _Node]
    results: tuple[str, ...] = ()


def random_operations(graph: bytes, signature: str) -> list[str]:
    """Return the random operations that a signature's outputs need, sorted; DamagedGraph if torn.

    ``graph`` is the content of ``saved_model.pb``.
    """
    if not _CANDIDATE.search(graph):
        return []
    for meta_graph in messages(memoryview(graph), number("SavedModel", "meta_graphs")):
        for name, definition in entries(meta_graph, number("MetaGraphDef", "signature_def")):
            if name == signature:
                return sorted(RANDOM & set(_operations(meta_graph, _outputs(definition))))
    return []


def _outputs(signature: memoryview) -> tuple[str, ...]:
    """Return the names of the nodes that compute a signature's outputs."""
    tensors = (tensor for _, tensor in entries(signature, number("SignatureDef", "outputs")))
    names = chain.from_iterable(map(partial(_texts, field=number("TensorInfo", "name")), tensors))
    return tuple(map(_node_name, names))


def _operations(meta_graph: memoryview, outputs: tuple[str, ...]) -> Iterator[str]:
    """Yield the operations that the outputs need, in the graph and in the functions it calls."""
    for whole in messages(meta_graph, number("MetaGraphDefWithGraph", "graph_def")):
        library = dict(_library(whole))
        nodes = dict(map(_node, messages(whole, number("GraphDef", "node"))))
        waiting, seen = [_Graph(nodes, outputs)], set[str]()
        while waiting:
            for node in _needed(waiting.pop()):
                yield node.op
                # A node of the operation F calls the function F.
                called = {node.op, *node.functions} & library.keys() - seen
                seen |= called
                waiting += [_function(library[name]) for name in called]


def _needed(graph: _Graph) -> Iterator[_Node]:
    """Yield the nodes that compute the results, directly or for each other."""
    waiting, seen = list(graph.results), set(graph.results)
    while waiting:
        node = graph.nodes.get(waiting.pop())
        if node is None:  # an argument of a function
            continue
        yield node
        new = set(node.inputs) - seen
        seen |= new
        waiting += new


def _library(graph: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield the functions of a graph by name, not decoded yet."""
    for library in messages(graph, number("GraphDef", "library")):
        for function in messages(library, number("FunctionDefLibrary", "function")):
            for signature in messages(function, number("FunctionDef", "signature")):
                for name in _texts(signature, number("OpDef", "name")):
                    yield name, function


def _function(function: memoryview) -> _Graph:
    nodes = dict(map(_node, messages(function, number("FunctionDef", "node_def"))))
    results = (value for _, value in entries(function, number("FunctionDef", "ret")))
    return _Graph(nodes, tuple(_node_name(str(value, "utf-8", "replace")) for value in results))


def _node(data: memoryview) -> tuple[str, _Node]:
    """Decode the name of a node and what is needed of the rest."""
    name = op = ""
    inputs: list[str] = []
    functions: list[str] = []
    for field, value in fields(data):
        if not isinstance(value, memoryview):
            continue
        if field == _NAME:
            name = str(value, "utf-8", "replace")
        elif field == _OP:
            op = str(value, "utf-8", "replace")
        elif field == _INPUT:
            inputs.append(str(value, "utf-8", "replace"))
        elif field == _ATTR:
            functions += _functions(value)
    return name, _Node(op, tuple(map(_node_name, inputs)), tuple(functions))


def _functions(attribute: memoryview) -> Iterator[str]:
    """Yield the names of the functions in an attribute of a node."""
    for value in messages(attribute, number("AttrEntry", "value")):
        lists = messages(value, number("AttrValue", "list"))
        listed = (messages(each, number("AttrList", "func")) for each in lists)
        for function in chain(messages(value, number("AttrValue", "func")), *listed):
            yield from _texts(function, number("NameAttrList", "name"))


def _texts(data: memoryview, field: int) -> Iterable[str]:
    return [str(value, "utf-8", "replace") for value in messages(data, field)]


def _node_name(tensor: str) -> str:
    """Return the node of ``name:0``, of a function's ``name:output:0`` or of ``^name``."""
    return tensor.removeprefix("^").partition(":")[0]
