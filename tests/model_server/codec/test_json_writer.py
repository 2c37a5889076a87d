from __future__ import annotations

import math

import pytest

from model_server.codec.exact_parser import parse_json
from model_server.codec.json_writer import (
    QUOTE_LIMIT,
    error_body,
    json_string_of_bytes,
    quote_value,
    type_name,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"null", "null"),
        (b"[true,1,-2,2.0]", "[true, 1, -2, 2.0]"),
        (b"[]", "[]"),
        (b"{}", "{}"),
        (
            b'{"x":{"y":"a\\nb"},"z":[1]}',
            '{\n    "x": {\n        "y": "a\\nb"\n    },\n    "z": [1]\n}',
        ),
        (b'[{"x":1}]', '[{\n        "x": 1\n    }]'),
        (b'{"a":1,"a":2}', '{\n    "a": 1,\n    "a": 2\n}'),
    ],
)
def test_quoted_values(text: bytes, shown: str) -> None:
    assert quote_value(parse_json(text)) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (100.0, "100.0"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e21"),
        (1.5e39, "1.5e39"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (1.25e-7, "1.25e-7"),
        (1.8446744073709552e19, "18446744073709552000.0"),
    ],
)
def test_quoted_doubles(number: float, shown: str) -> None:
    assert quote_value(number) == shown


@pytest.mark.parametrize(("value", "shown"), [(math.nan, ""), ([1.0, math.inf, 2.0], "[1.0, ")])
def test_nothing_is_shown_from_a_number_that_json_lacks(value: object, shown: str) -> None:
    assert quote_value(value) == shown


def test_a_long_value_is_cut_soon_after_the_limit() -> None:
    shown = quote_value(list(range(10_000)))

    assert QUOTE_LIMIT <= len(shown) < QUOTE_LIMIT + 10


@pytest.mark.parametrize(("length", "end"), [(QUOTE_LIMIT, 'x"'), (QUOTE_LIMIT + 1, "xx")])
def test_a_long_string_is_cut(length: int, end: str) -> None:
    shown = quote_value("x" * length)

    assert (len(shown), shown[-2:]) == (QUOTE_LIMIT + len(end.strip("x")) + 1, end)


def test_a_deep_value_can_be_quoted() -> None:
    assert quote_value(parse_json(b"[" * 50_000 + b"]" * 50_000)).startswith("[[[[")


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'a"\\/\x7f', '"a\\"\\\\/\x7f"'),
        (b"\b\t\n\f\r", '"\\b\\t\\n\\f\\r"'),
        (b"\x01\x1f", '"\\u0001\\u001F"'),
        ("é中😀".encode(), '"é中😀"'),
    ],
)
def test_string_escapes(data: bytes, shown: str) -> None:
    assert json_string_of_bytes(data) == shown


def test_the_layout_of_an_error() -> None:
    assert error_body('say "no"') == b'{\n    "error": "say \\"no\\""\n}'


def test_type_names() -> None:
    values: tuple[object, ...] = (None, True, False, {}, [], "", 1, 1.0)

    names = [type_name(value) for value in values]

    assert names == ["Null", "True", "False", "Object", "Array", "String", "Number", "Number"]
