from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.codec import exact_parser, json_reader
from model_server.codec.exact_parser import JsonObject
from model_server.codec.image_bodies import FastPathMiss
from model_server.codec.json_reader import Document, read_json
from model_server.codec.json_writer import members
from model_server.engines.protocol import TensorInfo
from model_server.errors import InvalidArgument, ModelServerError
from model_server.rest import predict_request

LONG = list(range(3000))
NEVER = re.compile(rb"(?!)")


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
    assert read_json(body) == Document(body).read(as_is)


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

    assert read_json(body) == exact_parser.parse_json(body)


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


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(json.dumps({"list": [*LONG, [1]]}).encode(), id="ragged"),
        pytest.param(json.dumps({"list": [LONG, "x"]}).encode(), id="a string in a list"),
        pytest.param(json.dumps({"text": str(LONG)}).encode(), id="numbers in a string"),
        pytest.param(json.dumps({"a": '"', "text": str(LONG)}).encode(), id="an escaped quote"),
        pytest.param(json.dumps({"a": [[[0.5, 1, -2e-5]] * 700] * 2}).encode(), id="pixels"),
        pytest.param(b'{"a":[' + b"1," * 3000 + b"1]" + b" " * 5000 + b"}", id="spaces at the end"),
    ],
)
def test_long_bodies_are_read_as_python_reads_them(body: bytes) -> None:
    assert Document(body).read(as_is) == json.loads(body)
    assert exact_parser.parse_json(body) == json.loads(body)


@pytest.mark.parametrize("work_fails_on", [bytes, dict])
def test_work_that_fails_on_image_bytes_is_done_again_on_json(work_fails_on: type) -> None:
    document = Document(b'{"instances": [{"b64": "YWJj"}]}')
    seen = []

    def work(reading: dict[str, Any]) -> object:
        [instance] = reading["instances"]
        seen.append(type(instance))
        if isinstance(instance, work_fails_on):
            raise InvalidArgument("not this one")
        return instance

    with suppress(InvalidArgument):
        document.read(work)

    assert seen == ([bytes, dict] if work_fails_on is bytes else [bytes])


def test_a_mistake_behind_a_long_list_is_found_at_its_offset() -> None:
    body = json.dumps({"list": LONG}).encode()[:-1] + b', "x" 1}'

    with pytest.raises(InvalidArgument) as caught:
        Document(body)

    assert caught.value.message.endswith(f"at offset: {len(body) - 2}")


NUMBERS = st.sampled_from(
    ["0", "-0", "-0.0", "1.5", "1.", "0e5", "0.0e400", "1e400", "9" * 20, "01", "NaN", "2e-05"]
)
SCALARS = NUMBERS | st.sampled_from(['"x"', '"\\""', '""', "null", "true", "{}", "[]"])
JSON_TEXTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.tuples(inner, st.sampled_from([2, 40])).map(
            lambda pair: f"[{','.join([pair[0]] * pair[1])}]"
        )
        | st.tuples(inner, inner).map(lambda pair: f'{{"a": {pair[0]}, "b":\n{pair[1]}}}')
        | st.tuples(inner, inner).map(lambda pair: f'{{"a": {pair[0]}, "a":{pair[1]}}}')
    ),
    max_leaves=6,
)
INSERTED = st.text('0.eE-+,:[]{}" \n\\x', max_size=2)


@st.composite
def damaged_bodies(draw: st.DrawFn) -> bytes:
    """Return a predict body with a few bytes replaced, and perhaps without its end."""
    name = draw(st.sampled_from(["instances", "inputs", "signature_name"]))
    body = f'{{"{name}": {draw(JSON_TEXTS)}}}'
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(start + 2, len(body))))
    body = body[:start] + draw(INSERTED) + body[end:] + draw(st.sampled_from(["", " " * 99, "x"]))
    return body[: draw(st.just(len(body)) | st.integers(0, len(body)))].encode()


@given(damaged_bodies())
def test_the_readers_agree(body: bytes) -> None:
    with mock.patch.multiple(exact_parser, RUN=NEVER, LIST_RUN=NEVER):
        exact = outcome(exact_parser.parse_json, body)

    assert outcome(exact_parser.parse_json, body) == exact
    assert outcome(read_json, body) == exact


@given(damaged_bodies(), st.sampled_from(["float", "double", "int32", "uint8", "bool", "string"]))
def test_tensors_do_not_depend_on_the_reader(body: bytes, dtype: str) -> None:
    inputs = {"x": TensorInfo("x:0", dtype, None)}

    fast = outcome(lambda body: tensors(Document(body), inputs), body)
    with (
        mock.patch.multiple(exact_parser, RUN=NEVER, LIST_RUN=NEVER),
        mock.patch.object(json_reader, "read_images", side_effect=FastPathMiss),
        mock.patch.object(json_reader, "_read_common", side_effect=FastPathMiss),
    ):
        assert fast == outcome(lambda body: tensors(Document(body), inputs), body)


@given(damaged_bodies())
def test_the_number_of_steps_is_bounded_by_the_size_of_the_body(body: bytes) -> None:
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1
        assert steps < 100 * (len(body) + 10)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        outcome(Document, body)
    finally:
        sys.setprofile(before)


def tensors(document: Document, inputs: predict_request.Inputs) -> object:
    """Return type, shape and bytes of each tensor."""
    arrays = document.read(lambda reading: predict_request.tensors(reading, inputs))
    return {name: (array.dtype, array.shape, array.tolist()) for name, array in arrays.items()}


def outcome(work: Callable[[bytes], object], body: bytes) -> str:
    """Return the result, members with repeated names included, or the error."""
    try:
        value = work(body)
    except ModelServerError as error:
        return str(error)
    return f"{value!r} {quote_all(value)}"


def quote_all(value: object) -> list[object]:
    """Return the members of all objects in order."""
    if isinstance(value, list):
        return [quote_all(item) for item in value]
    if isinstance(value, dict):
        return [(name, quote_all(item)) for name, item in members(value)]
    return []
