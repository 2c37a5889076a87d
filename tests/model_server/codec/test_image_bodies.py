"""Bodies of images give the same tensors and errors as with the exact parser."""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import chain, cycle
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.codec import exact_parser, json_reader
from model_server.codec.image_bodies import FastPathMiss, read_images
from model_server.codec.json_reader import Document
from model_server.engines.protocol import TensorInfo
from model_server.errors import ModelServerError
from model_server.rest import predict_request

INPUTS = {"pixels": TensorInfo("pixels:0", "string", None)}
TWO = {"instances": [{"b64": "YWJj"}, {"b64": "/+8="}]}


@pytest.mark.parametrize("separators", [None, (",", ":"), ("\r\n, ", " :\t")])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", [{}, {"signature_name": "pixels"}, {"signature_name": ""}])
def test_images_become_bytes(
    separators: tuple[str, str] | None, indent: int | None, name: dict[str, str]
) -> None:
    body = json.dumps(name | TWO, separators=separators, indent=indent).encode()

    assert read_images(body) == {
        "signature_name": name.get("signature_name", ""),
        "instances": [b"abc", b"\xff\xef"],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"instances": [{"b64": "YWJj',
        b'{"instances": [{"b64": "YWJj"',
        b'{"instances": [{"b64": "YWJj"}',
        b'{"instances": [{"b64": "YWJj"}]',
        b'{"instances": [{"b64": "YWJj"}]} x',
        b'{"instances": [{"b64": "YWJj"}, ]}',
        b'{"instances": [{"b64": "YWJj"}, "YWJj"]}',
        b'{"instances": [{"b64": "YWJj", "b64": "YWJj"}]}',
        b'{"instances": [{"b64": "YW Jj"}]}',
        b'{"instances": [{"b64": "YWI"}]}',
        b'{"instances": [{"b64": "YW\\u004aj"}]}',
        b'{"instances": [{"b64": "YWJ\xff"}]}',
        b'{"instances": [{"b64": "YWJj"}], "signature_name": "pixels"}',
        b'{"signature_name": "pix\\u0065ls", "instances": [{"b64": "YWJj"}]}',
        b'{"signature_name": "pixels" "instances": [{"b64": "YWJj"}]}',
        b'\xef\xbb\xbf{"instances": [{"b64": "YWJj"}]}',
        b'{"inputs": [{"b64": "YWJj"}]}',
        b'{"instances": [{"b64": "YWJj"}, {"b64": "YWJj"}, {"b64": ""]}',
        b" " * 65 + b'{"instances": [{"b64": "YWJj"}]}',
        b'{"instances": [{"b64": "YWJj"}]}' + b" " * 65,
        b'{"instances": [' + b",".join([b'{"b64": ""}'] * 1025) + b"]}",
    ],
)
def test_other_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(FastPathMiss):
        read_images(body)


@given(
    st.lists(st.binary(max_size=9), min_size=1, max_size=3),
    st.lists(st.sampled_from(["", " ", "\n\t", "\r\n" * 9]), min_size=1),
)
def test_what_is_read_is_what_an_exact_reader_reads(images: list[bytes], gaps: list[str]) -> None:
    rows = [["{", '"b64"', ":", f'"{b64encode(data).decode()}"', "}", ","] for data in images]
    parts = ["{", '"signature_name"', ":", '"pixels"', ",", '"instances"', ":", "["]
    parts += [*chain.from_iterable(rows)][:-1] + ["]", "}"]
    body = "".join(map("".join, zip(cycle(gaps), parts, strict=False))).encode()

    exact = exact_parser.parse_json(body)

    assert read_images(body) == exact | {"instances": images}
    assert [item["b64"] for item in exact["instances"]] == [
        b64encode(data).decode() for data in images
    ]


@given(st.integers(0, 200), st.sampled_from(['"', "}", "]", ",", "=", " ", "\\", "é", "{", "x"]))
def test_a_body_that_was_tampered_with_is_answered_the_same(at: int, put: str) -> None:
    body = json.dumps({"signature_name": "pixels"} | TWO)
    at %= len(body)
    body = body[:at] + put + body[at + 1 :]

    assert _outcome(body.encode(), INPUTS) == _outcome_without(body.encode(), INPUTS)


@pytest.mark.parametrize("dtype", ["float", "int32", "bool", "half", "string"])
@pytest.mark.parametrize("count", [1, 2])
def test_mistakes_are_those_of_an_exact_reading(dtype: str, count: int) -> None:
    inputs = {f"x{at}": TensorInfo(f"x{at}:0", dtype, None) for at in range(count)}
    body = json.dumps(TWO).encode()

    assert _outcome(body, inputs) == _outcome_without(body, inputs)


def _outcome(body: bytes, inputs: predict_request.Inputs) -> object:
    """Return signature and tensors that the body asks for, or what it says went wrong."""
    try:
        return Document(body).read(
            lambda document: (
                predict_request.signature_name(document),
                {
                    name: str(array)
                    for name, array in predict_request.tensors(document, inputs).items()
                },
            )
        )
    except ModelServerError as error:
        return str(error)


def _outcome_without(body: bytes, inputs: predict_request.Inputs) -> object:
    """Return the same, read as other bodies are."""
    with mock.patch.object(json_reader, "read_images", side_effect=FastPathMiss):
        return _outcome(body, inputs)
