"""Graphs of SavedModels, built from the descriptions in ``model_catalog.protos``."""

from __future__ import annotations

from typing import Any

from serving_api.messages import message


def saved_model(
    library: dict[str, list[Any]],
    nodes: list[Any],
    output: str = "call:0",
    *,
    image: str = "",
    arguments: tuple[str, ...] = (),
    dtype: int = 1,
) -> bytes:
    """Return ``saved_model.pb`` with ``serving_default``, whose output is the given tensor.

    ``library`` has the nodes of functions; the result of each is its last node. ``image`` is the
    tensor of the input ``x`` of this type, ``arguments`` are those of each function.
    """
    signature = message("MetaGraphDef")()
    signature.meta_info_def.tags.append("serve")
    outputs = signature.signature_def.add(key="serving_default").value.outputs
    outputs.add(key="scores").value.name = output
    if image:
        tensor = signature.signature_def[0].value.inputs.add(key="x").value
        tensor.name, tensor.dtype = image, dtype
    graph = message("MetaGraphDefWithGraph")()
    graph.graph_def.node.extend(nodes)
    for name, inside in library.items():
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        for argument in arguments:
            function.signature.input_arg.add(name=argument)
        function.signature.output_arg.add(name="y")
        function.node_def.extend(inside)
        function.ret.add(key="y", value=f"{inside[-1].name}:output:0")
    # Messages that are written one after the other are read as one.
    meta_graph: bytes = signature.SerializeToString() + graph.SerializeToString()
    return b"\x12" + _varint(len(meta_graph)) + meta_graph


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value == low else bytes([low | 0x80]) + _varint(value >> 7)


def node(name: str, op: str, *inputs: str, calls: tuple[str, ...] = ()) -> Any:
    """Return a node; of several functions that it calls, the attribute is a list."""
    made = message("NodeDef")(name=name, op=op, input=inputs)
    if len(calls) == 1:
        made.attr.add(key="f").value.func.name = calls[0]
    elif calls:
        listed = made.attr.add(key="branches").value.list
        for call in calls:
            listed.func.add(name=call)
    return made


def constant(name: str, *values: float) -> Any:
    """Return a node with these floats."""
    made = node(name, "Const")
    tensor = made.attr.add(key="value").value.tensor
    tensor.dtype = 1
    tensor.float_val.extend(values)
    return made


def random_saved_model() -> bytes:
    """Return a graph whose ``serving_default`` calls a function that draws random numbers."""
    inside = [node("flip", "StatelessRandomUniformV2"), node("y", "Identity", "flip:output:0")]
    return saved_model({"scores": inside}, [node("call", "PartitionedCall", calls=("scores",))])
