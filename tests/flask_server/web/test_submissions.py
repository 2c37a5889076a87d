"""Right images under odd content types, and the cost of bodies that hold none."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import quote

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from flask_server.errors import (
    BodyTooLarge,
    InvalidBase64,
    InvalidJson,
    InvalidParameter,
    MissingImage,
)
from flask_server.web.parameters import PARAMETERS
from flask_server.web.submissions import Submission, read_submission
from tests.flask_server.conftest import b64, draw

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
PICTURES = [draw(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")]
HEADS = [
    'name="image"',
    'name="image"\r\nContent-Type: application/octet-stream',
    'name="image"\r\nContent-Type: image/png',
    "NAME=image\r\ncontent-type: text/plain; charset=utf-8",
    'name="image"; filename=""',
    'name="image"; filename="a.png"\r\nContent-Type: image/png',
    'name="image[]"',
    'name="image[0]"; filename="a.png"',
]


def submitted(body: bytes, kind: str, query: str = "") -> Submission:
    builder = EnvironBuilder(method="POST", data=body, content_type=kind, query_string=query)
    return read_submission(Request(builder.get_environ()), 32)


def part(head: str, data: bytes) -> bytes:
    return f"--B\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_part_needs_no_file_name(head: str, picture: bytes) -> None:
    body = part(head, picture) + part('name="top_k"', b"2") + b"--B--\r\n"

    submission = submitted(body, MULTIPART)

    assert submission.uploads == [picture]
    assert submission.parameters == {"top_k": "2"}


@pytest.mark.parametrize("picture", PICTURES)
def test_a_part_may_be_sent_in_base64(picture: bytes) -> None:
    head = 'name="image"; filename="a.png"\r\nContent-Transfer-Encoding: base64'
    body = part(head, b64(picture).encode()) + part('name="top_k"', b"2") + b"--B--"

    submission = submitted(body, "Multipart/Form-Data; boundary=B")

    assert submission.uploads == [picture]
    assert submission.parameters == {"top_k": "2"}


def test_bytes_that_are_no_text_are_a_file_too() -> None:
    body = part('name="image"', b"\x00\xff\xfe") + b"--B--"

    assert submitted(body, MULTIPART).uploads == [b"\x00\xff\xfe"]


@pytest.mark.parametrize("odd", [b"\xff", b"\0", "ж".encode()])
def test_an_odd_byte_in_base64_is_a_defect_of_the_text(odd: bytes) -> None:
    text = b64(PICTURES[0]).encode()
    body = part('name="image"', text[:30] + odd + text[30:]) + b"--B--"

    (upload,) = submitted(body, MULTIPART).uploads

    assert isinstance(upload, InvalidBase64)


@pytest.mark.parametrize("name", ["image", "image[]", "image[3]"])
def test_a_part_of_base64_is_decoded(name: str) -> None:
    body = part(f'name="{name}"', b64(PICTURES[0]).encode()) * 2 + b"--B--"

    assert submitted(body, MULTIPART).uploads == PICTURES[:1] * 2


@pytest.mark.parametrize("picture", PICTURES)
def test_the_percent_encoded_bytes_of_an_image_are_read(picture: bytes) -> None:
    assert submitted(f"image={quote(picture)}".encode(), FORM).uploads == [picture]


@pytest.mark.parametrize(
    "kind",
    [FORM, "multipart/form-data", MULTIPART, "application/json", "text/plain", "application/pdf"],
)
@pytest.mark.parametrize("picture", PICTURES)
def test_a_body_that_begins_like_an_image_is_one(kind: str, picture: bytes) -> None:
    large = picture + bytes(range(256)) * 4000

    assert submitted(picture, kind).uploads == [picture]
    assert submitted(large, kind, "top_k=2").uploads == [large]


@pytest.mark.parametrize("before", ["", "\r\n  ", "\ufeff"])
def test_json_needs_no_content_type(before: str) -> None:
    body = before + json.dumps({"image": b64(PICTURES[0]), "top_k": 2})

    submission = submitted(body.encode(), "")

    assert submission.uploads == PICTURES[:1]
    assert submission.parameters == {"top_k": 2}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"b64": "QUJD"}, "an object"),
        ([137, 80], "an array"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
    ],
)
def test_the_type_of_an_image_that_is_no_string_is_told(value: Any, words: str) -> None:
    (upload,) = submitted(json.dumps({"image": value}).encode(), "application/json").uploads

    assert isinstance(upload, InvalidParameter)
    assert str(upload) == f"An image is {words}; allowed is a base64 string."


@pytest.mark.parametrize("count", [1, 80, 2400])
def test_the_hint_for_a_file_under_a_form_type_does_not_depend_on_its_size(count: int) -> None:
    with pytest.raises(MissingImage, match="no field 'image'. A body that is no form needs"):
        submitted(b"\x00\x01" + bytes(range(256)) * count, FORM)


def test_a_multipart_form_without_boundary_is_told_so() -> None:
    body = part('name="image"; filename="a.jpg"', PICTURES[0]) + b"--B--"

    with pytest.raises(MissingImage, match="has no boundary"):
        submitted(body, "multipart/form-data")


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("labels=3&labels=8", ["3", "8"]),
        ("labels[]=3&labels[]=8", ["3", "8"]),
        ("labels%5B%5D=3&labels%5B%5D=8", ["3", "8"]),
        ("labels[0]=3&labels[1]=8", ["3", "8"]),
        ("labels[]=a,b", ["a,b"]),
        ("labels=a,b", "a,b"),
        ("labels=3&labels[]=8", ["3", "8"]),
    ],
)
def test_lists_as_http_libraries_write_them(query: str, labels: Any) -> None:
    assert submitted(PICTURES[0], "", query).parameters == {"labels": labels}
    form = f"image={quote(b64(PICTURES[0]))}&{query}".encode()
    assert submitted(form, FORM).parameters == {"labels": labels}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("depth", [100, 1_000, 100_000])
def test_a_deep_parameter_is_no_defect(name: str, depth: int) -> None:
    body = f'{{"image": "", "{name}": {"[" * depth}{"]" * depth}}}'.encode()

    with pytest.raises((InvalidJson, BodyTooLarge), match="32 levels|100000 values"):
        submitted(body, "application/json")


def test_labels_of_a_large_model_are_no_costly_document() -> None:
    labels = [f"n{number:08}" for number in range(21_841)]
    body = json.dumps({"image": b64(PICTURES[0]), "labels": labels}).encode()

    assert submitted(body, "application/json").parameters["labels"] == labels


COSTLY = """
import resource, sys
from flask import Request
from werkzeug.test import EnvironBuilder
from flask_server.errors import GatewayError
from flask_server.web.parameters import texts
from flask_server.web.submissions import read_submission

SIZE = 32 * 1024 * 1024
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=B"
PART = b'\\r\\n--B\\r\\nContent-Disposition: form-data; name="image"'

def filled(piece, before=b"", after=b""):
    return before + piece * (SIZE // len(piece)) + after

BODIES = [
    (JSON, filled(b"[],", b"[", b"0]")),
    (JSON, filled(b'"",', b'{"top_k":[', b"0]}")),
    (JSON, filled(b'{"a":1},', b'{"labels":[', b"0]}")),
    (JSON, filled(b"[", b'{"labels":')),
    (JSON, filled(b"1", b'{"top_k":', b"}")),
    (JSON, filled(b"\\\\u0041", b'{"image":"', b'"}')),
    (JSON, filled(b"QUJD", b'{"image":"', b'"}')),
    (JSON, filled(b"ab,", b'{"labels":"', b'"}')),
    (FORM, filled(b"%41", b"image=")),
    (FORM, filled(b"%", b"image=")),
    (FORM, filled(b"ab,", b"image=QUJD&labels=")),
    (FORM, filled(b"&")),
    (PARTS, filled(b"; a=b", PART)),
    (PARTS, filled(b"\\r\\n--B")),
    (PARTS, (PART + b";" * 8000 + b"\\r\\n\\r\\nx") * 900 + b"\\r\\n--B--"),
    (PARTS, filled(b"QUJD", PART + b"\\r\\n\\r\\n", b"\\r\\n--B--")),
]
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
while BODIES:
    kind, body = BODIES.pop()
    environ = EnvironBuilder(method="POST", data=body, content_type=kind).get_environ()
    del body
    try:
        texts(read_submission(Request(environ), 32).parameters, "labels")
    except GatewayError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kB on Linux only")
def test_the_cost_of_a_body_is_bounded() -> None:
    child = subprocess.run([sys.executable, "-c", COSTLY], capture_output=True, text=True)

    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 350, "MB beyond the bodies themselves"
