from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from model_server.codec.chunks import SIZE
from model_server.codec.json_reader import Document
from model_server.engines.protocol import TensorInfo, Tensors
from model_server.errors import ModelServerError
from model_server.rest import predict_request
from serving_api.dtypes import numpy_dtype

INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "uint32", "uint64")


def tensors(body: str | dict[str, Any], **inputs: str) -> Tensors:
    """Read a predict body for a signature with inputs of these types."""
    text = body if isinstance(body, str) else json.dumps(body)
    infos = {name: TensorInfo(f"{name}:0", dtype, None) for name, dtype in inputs.items()}
    return Document(text.encode()).read(lambda reading: predict_request.tensors(reading, infos))


def refusal(body: str | dict[str, Any], **inputs: str) -> str:
    with pytest.raises(ModelServerError) as caught:
        tensors(body, **inputs)
    return str(caught.value)


def in_row(text: str, key: str = "") -> str:
    return f"INVALID_ARGUMENT: Failed to process element: {key} of 'instances' list. {text}"


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ({"instances": [1, 2.5]}, (2,)),
        ({"instances": [[1, 2], [3, 4]]}, (2, 2)),
        ({"instances": [[], []]}, (2, 0)),
        ({"instances": [{"x": [[1]]}, {"x": [[2]]}]}, (2, 1, 1)),
        ({"inputs": 5}, ()),
        ({"inputs": []}, (0,)),
        ({"inputs": [[1, 2]]}, (1, 2)),
        ({"inputs": {"x": [1], "ignored": "text"}}, (1,)),
    ],
)
def test_shapes_come_from_the_lists(body: dict[str, Any], shape: tuple[int, ...]) -> None:
    array = tensors(body, x="float")["x"]

    assert array.shape == shape
    assert array.dtype == np.float32


def test_a_row_has_room_for_one_level_less_than_a_tensor() -> None:
    deepest = "[" * 63 + "1" + "]" * 63

    assert tensors(f'{{"instances": [{deepest}]}}', x="float")["x"].ndim == 64
    assert refusal(f'{{"instances": [[{deepest}]]}}', x="float") == in_row(
        "Error: INVALID_ARGUMENT: Encountered 64 levels of lists; at most 63 are allowed", "0"
    )


def test_several_inputs_by_row_and_by_column() -> None:
    by_row = tensors({"instances": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]}, a="int32", b="string")
    by_column = tensors({"inputs": {"a": [1, 2], "b": ["x", "y"]}}, a="int32", b="string")

    for found in (by_row, by_column):
        assert found["a"].tolist() == [1, 2]
        assert found["b"].tolist() == [b"x", b"y"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_have_the_type_of_the_signature(dtype: str) -> None:
    array = tensors({"inputs": [0, 1, 100]}, x=dtype)["x"]

    assert array.dtype == np.dtype(dtype)
    assert array.tolist() == [0, 1, 100]


@pytest.mark.parametrize(
    ("dtype", "numbers", "kept"),
    [
        ("uint8", [300, -1], [44, 255]),
        ("int16", [40000], [-25536]),
        ("int8", [-(2**31), 2**31 - 1], [0, -1]),
        ("int32", [-(2**31), 2**31 - 1], [-(2**31), 2**31 - 1]),
        ("int64", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("uint32", [0, 2**32 - 1], [0, 2**32 - 1]),
        ("uint64", [0, 2**64 - 1], [0, 2**64 - 1]),
    ],
)
def test_small_integers_wrap_and_big_ones_reach_their_limits(
    dtype: str, numbers: list[int], kept: list[int]
) -> None:
    assert tensors({"inputs": numbers}, x=dtype)["x"].tolist() == kept


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        ("uint8", "2147483648", "Number"),
        ("int32", "2147483648", "Number"),
        ("int32", "-2147483649", "Number"),
        ("int64", "9223372036854775808", "Number"),
        ("uint32", "4294967296", "Number"),
        ("uint32", "-1", "Number"),
        ("uint64", "-1", "Number"),
        ("uint64", "1.8446744073709552e19", "Number"),
        ("int32", "1.0", "Number"),
        ("int32", "true", "True"),
        ("bool", "1", "Number"),
        ("float", "false", "False"),
        ("float", "null", "Null"),
        ("float", '"1"', "String"),
        ("string", "1", "Number"),
    ],
)
def test_values_of_another_kind_are_refused(dtype: str, value: str, kind: str) -> None:
    text = refusal(f'{{"inputs": [{value}]}}', x=dtype)

    shown = "18446744073709552000.0" if "e19" in value else value
    assert text == (
        f"INVALID_ARGUMENT: JSON Value: {shown} Type: {kind} is not of expected type: {dtype}"
    )


def test_floats_overflow_to_infinity_and_small_ones_become_zero() -> None:
    body = '{"inputs": [1e39, -1e39, 1e-40, -1e-40, 1.17549435e-38, 2e-308]}'

    values = tensors(body, x="float")["x"]

    assert values[:2].tolist() == [np.inf, -np.inf]
    assert values[2:4].tolist() == [0.0, 0.0]
    assert np.signbit(values[2:4]).tolist() == [False, True]
    assert values[4] > 0
    assert values[5] == 0


def test_strings_are_bytes_and_base64_is_decoded() -> None:
    values = tensors({"inputs": ["é", {"b64": "AP8="}, "a\0b"]}, x="string")["x"]

    assert values.tolist() == ["é".encode(), b"\0\xff", b"a\0b"]


def test_a_base64_object_is_a_value_in_both_formats() -> None:
    assert tensors({"inputs": {"b64": "YQ=="}}, x="string")["x"].tolist() == b"a"
    assert tensors({"instances": [{"b64": "YQ=="}]}, x="string")["x"].tolist() == [b"a"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        (
            {"instances": [1], "inputs": [1]},
            'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly'
            " expecting only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            {"instances": 1},
            "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
        ),
        (
            {"instances": []},
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        ),
        ({"inputs": {"y": 1}}, "Missing named input: x in 'inputs' object."),
        ({"instances": [{"x": 1}, 3]}, "Expecting object but got list at item 1 of input list"),
        (
            {"instances": [1, {"x": 2}]},
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            {"inputs": [{"x": 1.0}]},
            'JSON Value: {\n    "x": 1.0\n} Type: Object is not of expected type: float',
        ),
        (
            {"inputs": [[1], 2]},
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        ),
        ({"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
        (
            {"inputs": [[1, 2], [3]]},
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
    ],
)
def test_misplaced_values(body: dict[str, Any], text: str) -> None:
    assert refusal(body, x="float") == f"INVALID_ARGUMENT: {text}"


@pytest.mark.parametrize(
    ("rows", "key", "text"),
    [
        ([[1, 2], [1, 2, 3]], "1", "Expecting tensor size: 2 but got: 3"),
        ([[1, 2], [[1, 2]]], "1", "Expecting shape [2] but got: [1,2]"),
        ([1, [1]], "1", "Expecting shape [] but got: [1]"),
        ([{"x": 1}, {"x": [1, 2]}], "1 key: x", "Expecting tensor size: 1 but got: 2"),
        ([{"x": 1, "z": 1}], "0 key: z", "JSON object: does not have named input: z"),
        (
            ["a"],
            "0",
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
    ],
)
def test_rows_name_the_element_that_is_wrong(rows: list[Any], key: str, text: str) -> None:
    found = refusal({"instances": rows}, x="float")

    assert found == in_row(f"Error: INVALID_ARGUMENT: {text}", key)


def test_rows_must_have_exactly_the_names_of_the_signature() -> None:
    found = refusal({"instances": [{"b": 1}]}, b="float", a="float")

    assert found == in_row('JSON object: {\n    "b": 1\n} keys must be equal to: a,b', "0")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"instances": [1]},
            "instances is a plain list, but expecting list of objects as multiple input tensors"
            " required as per tensorinfo_map",
        ),
        (
            {"inputs": [1]},
            "inputs is a plain value/list, but expecting an object as multiple input tensors"
            " required as per tensorinfo_map",
        ),
        ({"inputs": {"a": 1}}, "Missing named input: b in 'inputs' object."),
    ],
)
def test_several_inputs_need_names(body: dict[str, Any], text: str) -> None:
    assert refusal(body, a="float", b="float") == f"INVALID_ARGUMENT: {text}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b64": 5}, 'JSON Value: {\n    "b64": 5\n} not formatted correctly for base64 data'),
        ({"b64": "!"}, "Unable to base64 decode"),
    ],
)
def test_bad_base64(value: object, text: str) -> None:
    assert refusal({"inputs": [value]}, x="string") == f"INVALID_ARGUMENT: {text}"


def test_a_base64_object_with_more_keys_is_a_named_row() -> None:
    found = refusal({"instances": [{"b64": "YQ==", "y": 1}]}, x="string")

    text = "Error: INVALID_ARGUMENT: JSON object: does not have named input: b64"
    assert found == in_row(text, "0 key: b64")


def test_types_that_rest_lacks_are_unimplemented() -> None:
    assert refusal({"inputs": [0.5]}, x="half") == (
        "UNIMPLEMENTED: Conversion of JSON Value: 0.5 to type: half"
    )
    assert refusal({"instances": [0.5]}, x="half") == in_row(
        "Error: UNIMPLEMENTED: Conversion of JSON Value: 0.5 to type: half", "0"
    )


def test_a_name_repeated_in_a_row_pushes_later_values_out() -> None:
    body = '{"instances": [{"x": 1, "x": 2}, {"x": 3}]}'

    assert tensors(body, x="float")["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("levels", [64, 65])
def test_lists_may_be_nested_as_deep_as_arrays_can_be(levels: int) -> None:
    body = f'{{"inputs": {"[" * levels}1{"]" * levels}}}'

    if levels <= 64:
        assert tensors(body, x="float")["x"].ndim == levels
    else:
        assert "at most 64" in refusal(body, x="float")


def test_very_deep_lists_are_refused_in_peace() -> None:
    body = f'{{"instances": {"[" * 100_000}1{"]" * 100_000}}}'

    assert "at most 63" in refusal(body, x="float")


@pytest.mark.parametrize("dtype", ["float", "double", "int32", "uint8", "int64"])
@pytest.mark.parametrize("form", ["rows", "named rows", "column", "named column"])
def test_long_lists_give_the_same_tensors_as_short_ones(dtype: str, form: str) -> None:
    numbers = [[[n % 250, (n + 7) % 250] for n in range(600)] for _ in range(2)]
    bodies: dict[str, dict[str, Any]] = {
        "rows": {"instances": numbers},
        "named rows": {"instances": [{"x": row} for row in numbers]},
        "column": {"inputs": numbers},
        "named column": {"inputs": {"x": numbers}},
    }

    array = tensors(bodies[form], x=dtype)["x"]

    assert array.tolist() == numbers
    assert array.shape == (2, 600, 2)


@pytest.mark.parametrize(
    ("dtype", "rows", "text"),
    [
        ("int32", [0.5] * 3000, "JSON Value: 0.5 Type: Number is not of expected type: int32"),
        ("int32", [3e9] * 3000, "JSON Value: 3000000000.0 Type: Number is not"),
        ("bool", [1] * 3000, "JSON Value: 1 Type: Number is not of expected type: bool"),
    ],
)
def test_long_lists_fail_with_the_same_words_as_short_ones(
    dtype: str, rows: list[float], text: str
) -> None:
    assert text in refusal({"instances": rows}, x=dtype)


def test_long_rows_of_different_shape_are_refused() -> None:
    rows = [{"x": [1] * 3000}, {"x": [1] * 3001}]

    assert "Expecting tensor size: 3000 but got: 3001" in refusal({"instances": rows}, x="float")


@pytest.mark.parametrize("name", [100, None, ["x"]])
def test_the_signature_name_must_be_a_string(name: object) -> None:
    document = Document(json.dumps({"signature_name": name}).encode())

    with pytest.raises(ModelServerError, match="'signature_name' key must be a string value."):
        document.read(predict_request.signature_name)


def test_without_a_signature_name_it_is_empty() -> None:
    assert Document(b"{}").read(predict_request.signature_name) == ""


@pytest.mark.parametrize("dtype", [*INTEGERS, "float", "double", "bool"])
@pytest.mark.parametrize("count", [SIZE, SIZE + 1, 3 * SIZE - 1])
def test_long_lists_become_whole_tensors(dtype: str, count: int) -> None:
    kind = bool if dtype == "bool" else int
    numbers = [kind(number % 100) for number in range(count)]

    array = tensors({"inputs": numbers}, x=dtype)["x"]
    columns = tensors({"inputs": [[number] for number in numbers]}, x=dtype)["x"]

    assert array.tolist() == numbers
    assert array.dtype == columns.dtype == numpy_dtype(dtype)
    assert np.array_equal(columns, array.reshape(count, 1))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("2147483648", "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        ("[1]", "Encountered list at unexpected level: 1 expected < 1"),
    ],
)
def test_an_error_far_into_a_list_is_found(wrong: str, error: str) -> None:
    body = f'{{"inputs": [{"0, " * 2 * SIZE}{wrong}]}}'

    assert error in refusal(body, x="int32")
