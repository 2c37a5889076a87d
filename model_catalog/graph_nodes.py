"""Decode the nodes and functions of a SavedModel's graph, as far as they are looked at.

Attributes stay encoded until they are asked for: those of weights have megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from model_catalog.protos import number
from model_catalog.wire import entries, fields, messages

_NAME, _OP = number("NodeDef", "name"), number("NodeDef", "op")
_INPUT, _ATTR = number("NodeDef", "input"), number("NodeDef", "attr")


@dataclass(frozen=True, slots=True)
class Node:
    """An operation of a graph or function."""

    op: str

    inputs: tuple[str, ...]
    """The tensors that it reads, as the graph writes them; ``^`` marks a node that runs before."""

    attributes: tuple[memoryview, ...]
    """Encoded entries of its attributes."""

    def functions(self) -> Iterator[str]:
        """Yield the names of the functions in the attributes, which the node may call."""
        for attribute in self.attributes:
            for value in messages(attribute, number("AttrEntry", "value")):
                lists = messages(value, number("AttrValue", "list"))
                listed = (messages(each, number("AttrList", "func")) for each in lists)
                for function in chain(messages(value, number("AttrValue", "func")), *listed):
                    yield from texts(function, number("NameAttrList", "name"))

    def tensor(self) -> memoryview | None:
        """Return the encoded value of a constant."""
        for attribute in self.attributes:
            for value in messages(attribute, number("AttrEntry", "value")):
                for tensor in messages(value, number("AttrValue", "tensor")):
                    return tensor
        return None


def nodes_of(graph: memoryview) -> dict[str, Node]:
    """Return the nodes of a GraphDef by name."""
    return dict(map(_node, messages(graph, number("GraphDef", "node"))))


def nodes_of_function(function: memoryview) -> dict[str, Node]:
    """Return the nodes of a FunctionDef by name."""
    return dict(map(_node, messages(function, number("FunctionDef", "node_def"))))


def results_of(function: memoryview) -> dict[str, str]:
    """Return the tensors that a FunctionDef returns, by the names of its results."""
    results = entries(function, number("FunctionDef", "ret"))
    return {name: str(value, "utf-8", "replace") for name, value in results}


def arguments_of(function: memoryview, side: str = "input_arg") -> list[str]:
    """Return the names of the arguments of a FunctionDef, or with ``output_arg`` of its results."""
    return [
        name
        for signature in messages(function, number("FunctionDef", "signature"))
        for argument in messages(signature, number("OpDef", side))
        for name in texts(argument, number("ArgDef", "name"))
    ]


def library_of(graph: memoryview) -> dict[str, memoryview]:
    """Return the functions of a GraphDef by name, not decoded yet."""
    return {
        name: function
        for library in messages(graph, number("GraphDef", "library"))
        for function in messages(library, number("FunctionDefLibrary", "function"))
        for signature in messages(function, number("FunctionDef", "signature"))
        for name in texts(signature, number("OpDef", "name"))
    }


def texts(data: memoryview, field: int) -> Iterator[str]:
    """Yield the strings of a field."""
    return (str(value, "utf-8", "replace") for value in messages(data, field))


def node_name(tensor: str) -> str:
    """Return the node of ``name:0``, of a function's ``name:output:0`` or of ``^name``."""
    return tensor.removeprefix("^").partition(":")[0]


def _node(data: memoryview) -> tuple[str, Node]:
    name = op = ""
    inputs: list[str] = []
    attributes: list[memoryview] = []
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
            attributes.append(value)
    return name, Node(op, tuple(inputs), tuple(attributes))
