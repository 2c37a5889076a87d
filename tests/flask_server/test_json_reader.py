from __future__ import annotations

import json
import math

import pytest

from flask_server.json_reader import (
    MAX_DEPTH,
    MAX_VALUES,
    TooDeep,
    TooManyValues,
    read_bounded_json,
    read_json,
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"image": "aGk=", "top_k": 2}',
        b' [1, -0.0, 1e-400, "\\ud83d\\ude00", null] ',
        b'{"a": 1, "a": 2}',
        b'"half a pair: \\ud83d"',
        b"[1e400, -Infinity]",
        b'\xef\xbb\xbf{"with": "a byte order mark"}',
        '{"wide": "ä"}'.encode("utf-16"),
    ],
)
def test_reads_all_that_the_standard_library_reads(body: bytes) -> None:
    assert repr(read_json(body)) == repr(json.loads(body))


def test_reads_what_serving_writes_beyond_json() -> None:
    assert math.isnan(read_json(b'{"predictions": [NaN]}')["predictions"][0])


@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"01", b'"\t"', b"\xff", b"nul"])
def test_says_what_is_wrong_in_the_standard_librarys_words(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as theirs:
        json.loads(body)
    with pytest.raises(ValueError, match=r".") as ours:
        read_json(body)

    assert str(ours.value) == str(theirs.value)


def test_nesting_without_end_is_an_error_too() -> None:
    with pytest.raises(RecursionError):
        read_json(b"[" * 100_000)


@pytest.mark.parametrize("value", [b"[],", b'"",', b"1,", b'{"a":[]},', b"[[[1]]],"])
def test_many_values_are_refused_before_they_become_objects(value: bytes) -> None:
    body = b"[" + value * MAX_VALUES + b"0]"

    with pytest.raises(TooManyValues, match="more than 100000 values"):
        read_bounded_json(body)


def test_a_long_text_is_one_value() -> None:
    body = b'{"image": "' + b"QUJD" * 1_000_000 + b'"}'

    assert len(read_bounded_json(body)["image"]) == 4_000_000


def test_as_many_values_as_allowed_are_read() -> None:
    assert len(read_bounded_json(b"[" + b"0," * (MAX_VALUES - 1) + b"0]")) == MAX_VALUES


@pytest.mark.parametrize("length", [1, 500, 1_021, 1_022, 1_023, 2_045, 5_000])
def test_values_are_counted_in_texts_of_every_length(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = b'"' + b"A" * length + b'"'
    body = b'{"images": [' + b",".join([value] * 50) + b"]}"

    monkeypatch.setattr("flask_server.json_reader.MAX_VALUES", 51)
    assert len(read_bounded_json(body)["images"]) == 50
    monkeypatch.setattr("flask_server.json_reader.MAX_VALUES", 50)
    with pytest.raises(TooManyValues):
        read_bounded_json(body)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 1_000, 1_024, 1_025, 30_000])
@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_deep_documents_are_refused(depth: int, start: bytes, end: bytes) -> None:
    with pytest.raises(TooDeep, match="more than 32 levels"):
        read_bounded_json(start * depth + b"0" + end * depth)


def test_as_many_levels_as_allowed_are_read() -> None:
    read_bounded_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
