"""What a graph does to its input before the first layer is found, as far as the graph says it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from model_catalog.pixel_operations import PixelOperations, pixel_operations
from model_catalog.tensor_constants import MAX_NUMBERS, folded, numbers_of
from serving_api.messages import message
from tests.graphs import constant, node, saved_model

LAYER = node("call", "Conv2D", "last", "weights")


def found(*nodes: Any, library: dict[str, list[Any]] | None = None) -> PixelOperations:
    graph = saved_model(
        library or {},
        [node("x", "Placeholder"), *nodes, LAYER],
        image="x:0",
        arguments=("pixels", "number"),
    )
    operations = pixel_operations(graph, "serving_default", "x")
    assert operations is not None
    return operations


def test_resizing_and_arithmetic_are_found_in_their_order() -> None:
    operations = found(
        constant("size", 8, 8),
        constant("mean", 100, 110, 120),
        constant("divisor", 50),
        node("cast", "Cast", "x"),
        node("resized", "ResizeBilinear", "cast", "size"),
        node("flipped", "ReverseV2", "resized:0", "axis"),
        node("centred", "Sub", "flipped", "mean"),
        node("last", "RealDiv", "centred", "divisor", "^size"),
    )

    assert operations.steps == ("ResizeBilinear", "Sub 100, 110, 120", "RealDiv 50")
    assert (operations.end, operations.is_complete) == ("Conv2D", True)
    assert operations.is_for_raw_pixels
    assert operations.value_range() == pytest.approx((-2.4, 3.1))


@pytest.mark.parametrize(
    ("op", "inputs", "factor", "offset", "is_raw"),
    [
        ("Mul", ("x", "c"), 4, 0, False),
        ("Mul", ("c", "x"), 4, 0, False),
        ("AddV2", ("c", "x"), 1, 4, False),
        ("BiasAdd", ("x", "c"), 1, 4, False),
        ("Sub", ("c", "x"), -1, 4, False),
        ("Sub", ("x", "d"), 1, -127.5, True),
        ("RealDiv", ("x", "d"), 1 / 127.5, 0, True),
        ("Mul", ("x", "e"), 1, 0, False),
    ],
)
def test_arithmetic_on_either_side(
    op: str, inputs: tuple[str, str], factor: float, offset: float, *, is_raw: bool
) -> None:
    constants = (constant("c", 4), constant("d", 127.5), constant("e", 1))

    operations = found(*constants, node("last", op, *inputs))

    assert (operations.factors, operations.offsets) == ((factor,), (offset,))
    assert operations.is_for_raw_pixels == is_raw
    assert operations.scales == bool(operations.steps) == ((factor, offset) != (1, 0))


def test_functions_are_followed_and_left() -> None:
    inside = [
        node("root", "Sqrt", "number"),
        node("y", "RealDiv", "pixels", "root:y:0"),
    ]

    operations = found(
        constant("variance", 2500),
        node("inner", "PartitionedCall", "x", "variance", calls=("f",)),
        node("last", "g", "inner:0", "variance"),
        library={"f": inside, "g": [node("y", "Identity", "pixels")]},
    )

    assert operations.steps == ("RealDiv 50",)
    assert operations.is_complete


@pytest.mark.parametrize(
    ("nodes", "end"),
    [
        ([node("last", "Mul", "x", "v")], "Mul with a value that is not in the graph"),
        ([node("last", "While", "x")], "While"),
        ([node("a", "Abs", "x"), node("last", "Neg", "x")], "a branch to Abs and Neg"),
        ([constant("c", 1), node("last", "RealDiv", "c", "x")], "RealDiv"),
        ([constant("c", 0), node("last", "RealDiv", "x", "c")], "RealDiv"),
        (
            [constant("c", *range(MAX_NUMBERS + 1)), node("last", "Sub", "x", "c")],
            "Sub with a value that is not in the graph",
        ),
        ([], ""),
        ([node("last", "PartitionedCall", "a", "b", "x", calls=("f",))], "PartitionedCall"),
    ],
)
def test_the_end_of_the_search_is_told(nodes: list[Any], end: str) -> None:
    operations = found(*nodes, library={"f": [node("y", "Identity", "pixels")]})

    assert (operations.steps, operations.end, operations.is_complete) == ((), end, False)


def test_reading_the_shape_is_no_branch() -> None:
    operations = found(
        constant("c", 255), node("s", "Shape", "x"), node("last", "RealDiv", "x", "c")
    )

    assert operations.steps == ("RealDiv 255",)


def test_crafted_graphs_end() -> None:
    circle = [node("y", "PartitionedCall", "pixels", "number", calls=("f",))]
    doubled = [node(f"n{i}", "AddV2", f"n{i + 1}", f"n{i + 1}") for i in range(60)]

    endless = found(node("last", "f", "x", "x"), library={"f": circle})
    deep = found(node("last", "PartitionedCall", "x", "c", calls=("f",)), library={"f": circle})
    wide = found(*doubled, constant("n60", 1), node("last", "Mul", "x", "n0"))

    assert (endless.steps, deep.steps, wide.steps) == ((), (), ())


def test_input_that_is_not_there_has_no_operations() -> None:
    graph = saved_model({}, [LAYER], image="x:0")

    assert pixel_operations(graph, "serving_default", "y") is None
    assert pixel_operations(graph, "other", "x") is None


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        ({"dtype": 1, "float_val": [0.5]}, (0.5,)),
        ({"dtype": 2, "double_val": [0.5, 2]}, (0.5, 2)),
        ({"dtype": 3, "int_val": [-1, 3]}, (-1, 3)),
        ({"dtype": 9, "int64_val": [2**40]}, (2**40,)),
        ({"dtype": 1, "tensor_content": struct.pack("<2f", 1, 2)}, (1, 2)),
        ({"dtype": 4, "tensor_content": b"\xff"}, (255,)),
        ({"dtype": 1, "tensor_content": b"abc"}, None),
        ({"dtype": 7, "string_val": [b"a"]}, None),
        ({"dtype": 1}, None),
        ({"dtype": 1, "float_val": [0.0] * (MAX_NUMBERS + 1)}, None),
    ],
)
def test_numbers_of_constants(fields: dict[str, Any], numbers: tuple[float, ...] | None) -> None:
    tensor = message("Tensor")(**fields).SerializeToString()

    assert numbers_of(memoryview(tensor)) == numbers


def test_operations_on_constants() -> None:
    assert folded("Maximum", [(1, 4), (2,)]) == (2, 4)
    assert folded("Rsqrt", [(4,)]) == (0.5,)
    assert folded("Sqrt", [(-1,)]) is folded("RealDiv", [(1,), (0,)]) is None
    assert folded("Mul", [(1, 2), (1, 2, 3)]) is folded("Mul", [(1,)]) is None
