from __future__ import annotations

import json
import math

import pytest

from flask_server.json_reader import read_json


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
