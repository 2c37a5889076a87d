"""Find random operations in a SavedModel's graph, as far as the outputs of a signature need them.

A model whose ``serving_default`` needs them answers the same image differently each time. Keras 3
writes such models: ``model.export()`` leaves augmentation layers switched on. Operations with
constant seeds count as well, since they change images that should stay as they are.

Graphs without the name of a random operation, which are most, cost one search of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final

from model_catalog.graph_nodes import (
    Node,
    library_of,
    node_name,
    nodes_of,
    nodes_of_function,
    results_of,
    texts,
)
from model_catalog.protos import number
from model_catalog.wire import entries, messages

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

_OP = number("NodeDef", "op")

#: The field ``op`` of a node with a random operation, as the file has it.
_CANDIDATE = re.compile(
    bytes([_OP << 3 | 2])
    + b"(?:%b)" % b"|".join(bytes([len(name)]) + name.encode() for name in sorted(RANDOM))
)


@dataclass(frozen=True, slots=True)
class _Graph:
    """The nodes of a graph or function by name, and those that compute its results."""

    nodes: Mapping[str, Node]
    results: tuple[str, ...] = ()


def random_operations(graph: bytes, signature: str) -> list[str]:
    """Return the random operations that a signature's outputs need, sorted.

    ``graph`` is the content of ``saved_model.pb``. Raises DamagedGraph for damaged bytes.
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
    names = chain.from_iterable(map(partial(texts, field=number("TensorInfo", "name")), tensors))
    return tuple(map(node_name, names))


def _operations(meta_graph: memoryview, outputs: tuple[str, ...]) -> Iterator[str]:
    """Yield the operations that the outputs need, in the graph and in the functions it calls."""
    for whole in messages(meta_graph, number("MetaGraphDefWithGraph", "graph_def")):
        library = library_of(whole)
        waiting, seen = [_Graph(nodes_of(whole), outputs)], set[str]()
        while waiting:
            for node in _needed(waiting.pop()):
                yield node.op
                # A node of the operation F calls the function F.
                called = {node.op, *node.functions()} & library.keys() - seen
                seen |= called
                waiting += [_function(library[name]) for name in called]


def _needed(graph: _Graph) -> Iterator[Node]:
    """Yield the nodes that compute the results, directly or for each other."""
    waiting, seen = list(graph.results), set(graph.results)
    while waiting:
        node = graph.nodes.get(waiting.pop())
        if node is None:  # an argument of a function
            continue
        yield node
        new = set(map(node_name, node.inputs)) - seen
        seen |= new
        waiting += new


def _function(function: memoryview) -> _Graph:
    results = tuple(map(node_name, results_of(function).values()))
    return _Graph(nodes_of_function(function), results)
