from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from model_server.codec.chunks import SIZE
from model_server.engines.protocol import Tensors
from model_server.errors import InvalidArgument
from model_server.rest.predict_response import column_body, row_body


def floats(*numbers: object) -> Any:
    return np.array(numbers, dtype=np.float32)


def strings(*values: bytes) -> Any:
    return np.array([*values, b""], dtype=object)[:-1]


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": floats(2.5, 3)}, "[2.5, 3.0\n    ]"),
        ({"y": floats([1, 2], [3, 4])}, "[[1.0, 2.0], [3.0, 4.0]\n    ]"),
        ({"y": floats([], [])}, "[[], []\n    ]"),
        ({"y": floats()}, "[]"),
        ({"y": np.array([True, False])}, "[true, false\n    ]"),
        ({"y": np.array([2**64 - 1], dtype=np.uint64)}, "[18446744073709551615\n    ]"),
        ({"y": strings(b'a"b')}, '["a\\"b"\n    ]'),
        (
            {"y_bytes": strings(b"a", b"\xff")},
            '[{\n            "b64": "YQ=="\n        }, {\n            "b64": "/w=="\n        }'
            "\n    ]",
        ),
        (
            {"b": floats([1, 2]), "a": floats(1)},
            '[\n        {\n            "a": 1.0,\n            "b": [1.0, 2.0]\n        }\n    ]',
        ),
        (
            {"b": floats(1, 2), "a_bytes": strings(b"a", b"a")},
            "["
            + ",".join(
                '\n        {\n            "a_bytes": {\n                "b64": "YQ=="\n'
                f'            }},\n            "b": {number}.0\n        }}'
                for number in (1, 2)
            )
            + "\n    ]",
        ),
    ],
)
def test_row_layout(outputs: Tensors, text: str) -> None:
    assert row_body(outputs).decode() == f'{{\n    "predictions": {text}\n}}'


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": np.array(5, dtype=np.float32)}, "5.0"),
        ({"y": floats(2.5, 3)}, "[\n        2.5,\n        3.0\n    ]"),
        ({"y": floats()}, "[]"),
        ({"y": floats([1])}, "[\n        [\n            1.0\n        ]\n    ]"),
        (
            {"y_bytes": strings(b"a")},
            '[\n        {\n            "b64": "YQ=="\n        }\n    ]',
        ),
        (
            {"b": floats(1), "a": np.array(2, dtype=np.int32)},
            '{\n        "a": 2,\n        "b": [\n            1.0\n        ]\n    }',
        ),
    ],
)
def test_column_layout(outputs: Tensors, text: str) -> None:
    assert column_body(outputs).decode() == f'{{\n    "outputs": {text}\n}}'


def test_numbers_that_json_lacks_are_bare_words() -> None:
    assert b"[NaN, Infinity, -Infinity\n" in row_body({"y": floats(np.nan, np.inf, -np.inf)})


def test_strings_that_are_not_utf8_go_out_as_they_are() -> None:
    assert row_body({"y": strings(b"\xff\xfe")}) == b'{\n    "predictions": ["\xff\xfe"\n    ]\n}'


def test_the_bytes_suffix_counts_for_strings_only() -> None:
    assert b"[1.0\n" in row_body({"y_bytes": floats(1)})


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"total": np.float32(3).reshape(())}, "Tensor name: total has no shape information "),
        (
            {"a": floats(1, 2), "b": floats(1)},
            "Tensor name: b has inconsistent batch size: 1 expecting: 2",
        ),
        ({}, "Cannot convert empty tensor map to JSON"),
        (
            {"y": np.array([1], dtype=np.complex64)},
            "Failed to write JSON value for tensor type: complex64",
        ),
    ],
)
def test_outputs_that_rows_cannot_show(outputs: Tensors, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        row_body(outputs)

    assert caught.value.message == text


def test_columns_show_what_rows_cannot() -> None:
    outputs = {"sum": np.array(3, dtype=np.float32), "all": floats(1, 2)}

    assert b'"sum": 3.0' in column_body(outputs)


def test_a_column_answer_needs_outputs() -> None:
    with pytest.raises(InvalidArgument, match="empty tensor map"):
        column_body({})


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_long_outputs_are_written_whole(dtype: str) -> None:
    numbers = [number % 100 for number in range(2 * SIZE + 1)]
    array = np.array(numbers, dtype=dtype)

    assert json.loads(row_body({"y": array})) == {"predictions": numbers}
    assert json.loads(column_body({"y": array.reshape(-1, 1)})) == {
        "outputs": [[number] for number in numbers]
    }
