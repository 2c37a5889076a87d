from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.codec import exact_parser
from model_server.codec.exact_parser import JsonObject
from model_server.codec.float_arrays import Doubt, NumberBlock
from model_server.codec.json_reader import Document, read
from model_server.errors import InvalidArgument

LONG = list(range(3000))


def as_is(document: dict[str, Any]) -> dict[str, Any]:
    return document


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": [Inf]}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 1} x',
        b'{"a": "\\ud83d\\ude00"}',
        b'{"a": "\xff"}',
        b'{"a": 18446744073709551616}',
        b'{"a": 0e5}',
        b'{"a": "x"} "y"',
        b'{"a": "\xff", "b": "c"}',
    ],
)
def test_odd_bodies_are_read_exactly(body: bytes) -> None:
    assert read(body) == Document(body).read(as_is)


def test_the_first_of_equal_names_counts() -> None:
    document = Document(b'{"a": 1, "a": 2}').read(as_is)

    assert isinstance(document, JsonObject)
    assert document["a"] == 1


def test_the_first_of_equal_names_counts_among_pictures() -> None:
    document = Document(b'{"instances": [{"b64": "AAAA", "b64": "BBBB"}]}').read(as_is)

    assert document["instances"][0]["b64"] == "AAAA"


STRINGS = st.recursive(
    st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(st.text("ab"), inner)).map(tuple)
    ),
)


def body_of(value: object) -> str:
    """Write lists as lists, tuples of pairs as objects, whose names may repeat."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(body_of, value))}]"
    assert isinstance(value, tuple)
    pairs = (f'"{name}": {body_of(item)}' for name, item in value)
    return f"{{{', '.join(pairs)}}}"


@given(STRINGS)
def test_bodies_of_strings_are_read_as_the_exact_reader_does(value: object) -> None:
    body = body_of(value).encode()

    assert read(body) == exact_parser.parse(body)


@pytest.mark.parametrize(
    ("body", "shown"), [(b"[1,2]", "[1, 2]"), (b"null", "null"), (b'"x"', '"x"')]
)
def test_only_objects_are_documents(body: bytes, shown: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Document(body)

    assert caught.value.message == f"JSON Value: {shown} Is not object"


@pytest.mark.parametrize("body", [b'{"a": 1e400}', b'{"a": 1, "b": 9e999}', b'{"a": "\\ud800"}'])
def test_what_python_would_accept_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match="JSON Parse error"):
        Document(body)


def test_a_long_list_of_numbers_becomes_an_array() -> None:
    body = json.dumps({"name": "x", "list": LONG, "more": [{"y": [[0.5] * 3000]}]}).encode()

    document = Document(body).read(as_is)

    assert isinstance(document["list"], NumberBlock)
    assert document["list"].values.tolist() == LONG
    assert document["more"][0]["y"].values.shape == (1, 3000)
    assert document["name"] == "x"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps({"list": [*LONG, [1]]}).encode(), id="ragged"),
        pytest.param(json.dumps({"list": [LONG, "x"]}).encode(), id="a string in a list"),
        pytest.param(json.dumps({"text": str(LONG)}).encode(), id="numbers in a string"),
        pytest.param(json.dumps({"a": "\1", "list": LONG}).encode(), id="the mark itself"),
        pytest.param(json.dumps({"a": '"', "text": str(LONG)}).encode(), id="an escaped quote"),
    ],
)
def test_other_long_bodies_are_read_in_the_common_way(body: bytes) -> None:
    assert Document(body).read(as_is) == json.loads(body)


@pytest.mark.parametrize("failure", [Doubt(), InvalidArgument("not with blocks")])
def test_work_that_fails_on_arrays_is_done_again_on_lists(failure: Exception) -> None:
    document = Document(json.dumps({"list": LONG}).encode())
    seen = []

    def work(reading: dict[str, Any]) -> object:
        seen.append(type(reading["list"]))
        if isinstance(reading["list"], NumberBlock):
            raise failure
        return reading["list"]

    assert document.read(work) == LONG
    assert seen == [NumberBlock, list]


def test_a_mistake_behind_a_long_list_is_found_at_its_offset() -> None:
    body = json.dumps({"list": LONG}).encode()[:-1] + b', "x" 1}'

    with pytest.raises(InvalidArgument) as caught:
        Document(body)

    assert caught.value.message.endswith(f"at offset: {len(body) - 2}")


def test_arrays_hold_what_lists_would_hold() -> None:
    pixels = np.random.default_rng(7).normal(size=(40, 40, 3)).round(4)
    body = json.dumps({"x": pixels.tolist()}).encode()

    block = Document(body).read(as_is)["x"]

    assert (block.values.astype(np.float32) == pixels.astype(np.float32)).all()
