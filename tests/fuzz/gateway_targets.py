"""What the gateway reads of its callers: pictures, bodies of every kind, headers, HTTP."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from flask import Request
from numpy.typing import NDArray
from PIL import Image

from flask_server.errors import (
    BodyTooLarge,
    GatewayError,
    ImageError,
    InvalidBase64,
    InvalidTensor,
    MissingImage,
    NotAcceptable,
    ServingError,
)
from flask_server.imaging.decoding import read_header
from flask_server.imaging.formats import FORMATS
from flask_server.inference.npy import json_tensor, read_npy
from flask_server.json_reader import MAX_DEPTH, read_bounded_json, read_json
from flask_server.serving import grpc_encoding
from flask_server.serving.scores import read_scores, rows_of_output
from flask_server.web import parameters, submissions
from flask_server.web.base64_text import decode_base64
from flask_server.web.forms import read_form
from flask_server.web.negotiation import JPEG, JSON, NPY, PNG, accepted, agreed
from model_catalog.spec import OutputSpec
from serving_api.errors import ModelServerError
from serving_api.messages import message
from serving_api.tensor_writer import tensor_bytes
from tests.fuzz.target import Target

#: Small, so that an input which claims the largest picture is decoded soon.
MAX_PIXELS = 250_000
_OFFERED = (JSON, PNG, JPEG, NPY)
_FLAGS = ("report", "normalize")
_MODES = {"RGB", "L", "P", "CMYK", "YCbCr", "1", "F", "HSV", "RGBX", "LAB"}


# --- pictures ---------------------------------------------------------------------------------


def read_picture(data: bytes) -> None:
    """Decode a picture; an accepted one is within the limit and has no transparency left."""
    encoded = read_header(data, max_pixels=MAX_PIXELS)
    assert encoded.peak_bytes > 0
    image = encoded.decode().image
    assert 0 < image.width * image.height <= MAX_PIXELS
    assert image.mode in _MODES, image.mode


def _noise(mode: str, size: tuple[int, int] = (24, 16)) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(1).integers(0, 256, (size[1], size[0], bands), np.uint8)
    packed = values[..., 0] // 128 * 255 if mode == "1" else values
    if mode == "1":
        return Image.fromarray(packed).convert("1")
    return Image.frombytes(mode, size, values.tobytes())


def _saved(mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    _noise(mode).save(file, kind, **options)
    return file.getvalue()


@cache
def pictures() -> Sequence[bytes]:
    """Every format, in the variants that are read in their own way."""
    exif = Image.Exif()
    exif[0x0112] = 6
    compressions: list[dict[str, Any]] = [
        {"compression": name} for name in ("tiff_lzw", "jpeg", "tiff_deflate")
    ]
    variants: list[tuple[str, str, dict[str, Any]]] = [
        *(("RGB", kind, {}) for kind in FORMATS),
        *((mode, "PNG", {}) for mode in ("RGBA", "LA", "P", "1", "L")),
        ("L", "JPEG", {}),
        ("CMYK", "JPEG", {}),
        ("RGB", "JPEG", {"progressive": True, "exif": exif}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("P", "GIF", {"transparency": 0}),
        ("RGB", "GIF", {"save_all": True, "append_images": [_noise("RGB")]}),
        ("RGB", "WEBP", {"save_all": True, "append_images": [_noise("RGB")]}),
        *(("RGB", "TIFF", options) for options in compressions),
        ("RGB", "TIFF", {"big_tiff": True}),
        ("1", "TIFF", {"compression": "group4"}),
        ("P", "BMP", {}),
        ("1", "BMP", {}),
        *([("RGBA", "AVIF", {})] if "AVIF" in FORMATS else []),
    ]
    made = [_saved(*variant[:2], **variant[2]) for variant in variants]
    with io.BytesIO() as file:
        Image.fromarray(np.full((8, 8), 300, np.uint16)).save(file, "PNG")
        made.append(file.getvalue())
    with io.BytesIO() as file:
        Image.fromarray(np.full((8, 8), 200, np.float32)).save(file, "TIFF")
        made.append(file.getvalue())
    return made


# --- texts and tensors ------------------------------------------------------------------------


def read_base64(data: bytes) -> None:
    """Decode text as it may come in JSON, half a surrogate pair included."""
    text = data.decode("utf-8", "surrogateescape")
    for from_form in (False, True):
        decoded = decode_base64(text, from_form=from_form)
        assert 0 < len(decoded) <= len(text)


def read_json_body(data: bytes) -> None:
    """Read a JSON document; an accepted one is what the standard library reads."""
    document = read_bounded_json(data)
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [item for each in level if isinstance(each, list) for item in each]
    assert not level
    assert _comparable(document) == _comparable(json.loads(data))


def _comparable(document: object) -> str:
    """Return text that is equal for equal documents; integers beyond 64 bits become floats."""
    return repr(_rounded(document))


def _rounded(value: object) -> object:
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 2**1023 else None
    return value


def read_json_tensor(data: bytes) -> None:
    """Read a tensor from JSON; an accepted one has as many numbers as the text."""
    values = json_tensor(read_bounded_json(data)).values
    assert values.size <= len(data)
    assert values.nbytes <= 8 * len(data)


def read_npy_file(data: bytes) -> None:
    """Read a ``.npy`` file; the values of an accepted one are those of the file."""
    assert read_npy(data).values.nbytes <= len(data)


def _npy(shape: tuple[int, ...], dtype: str, order: Literal["C", "F"] = "C") -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(shape, dtype, order))
    return file.getvalue()


# --- requests ---------------------------------------------------------------------------------


def request_of(data: bytes) -> Request:
    """Return the request of an input: lines with Content-Type, Accept and query, then the body."""
    kind, accept, query, body = (data.split(b"\n", 3) + [b""] * 3)[:4]
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/models/toy/predict",
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": kind.decode("latin-1"),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_ACCEPT": accept.decode("latin-1"),
    }
    return Request(environ)


def read_request(data: bytes) -> None:
    """Read what a prediction is asked with: type of the answer, images, tensor, parameters."""
    request = request_of(data)
    assert agreed(accepted(request), _OFFERED) in _OFFERED
    read = submissions.read_submission(request, 3, parameters.PREDICT_PARAMETERS)
    assert 0 < len(read.uploads) <= 3
    for upload in read.uploads:
        assert not isinstance(upload, Exception) or isinstance(upload, GatewayError)
    given = read.parameters
    parameters.whole_number(given, "top_k", 1)
    parameters.whole_number(given, "version", 1)
    parameters.fraction(given, "threshold")
    parameters.texts(given, "labels")
    parameters.version_label(given)
    parameters.text(given, "output")
    for name in _FLAGS:
        parameters.flag(given, name)


def read_accept(data: bytes) -> None:
    """Choose the type of the answer by an Accept header."""
    assert agreed(accepted(request_of(b"\n" + data.replace(b"\n", b""))), _OFFERED) in _OFFERED


def read_form_body(data: bytes) -> None:
    """Read a form; the contents of its fields are no longer than the body."""
    kind, _, body = data.partition(b"\n")
    fields = read_form(kind.decode("latin-1"), body)
    assert sum(len(field.data) for field in fields) <= len(body)
    for field in fields:
        assert isinstance(field.text, str)


# --- answers of the model server ----------------------------------------------------------------

_SCORES = OutputSpec(classes=3)


def read_json_answer(data: bytes) -> None:
    """Read the scores of two images from JSON; accepted ones are finite."""
    rows = rows_of_output(read_json(data), None)
    check_scores(read_scores(rows, count=2, output=_SCORES))


def read_grpc_answer(data: bytes) -> None:
    """Read the scores of two images from a PredictResponse; accepted ones are finite."""
    outputs = grpc_encoding.read_outputs(data, 1 << 20)
    rows = grpc_encoding.rows_of(outputs, None, is_one=False)
    check_scores(read_scores(rows, count=2, output=_SCORES))


def check_scores(rows: Sequence[NDArray[np.float64]]) -> None:
    assert [row.shape for row in rows] == [(3,), (3,)]
    assert np.isfinite(rows).all()


def _grpc_answers() -> Sequence[bytes]:
    found = []
    for kind in ("float32", "float64", "uint8", "int64"):
        answer = message("PredictResponse")()
        tensor = tensor_bytes(np.ones((2, 3), kind), as_content=kind == "float64")
        answer.outputs.add(key="y").value.MergeFromString(tensor)
        answer.model_spec.name = "toy"
        found.append(answer.SerializeToString())
    return found


_PIXEL = base64.b64encode(_saved("L", "PNG"))
_MULTIPART = b"multipart/form-data; boundary=b"
_PARTS = (
    b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n\x1a\n\r\n"
    b'--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n3\r\n--b--\r\n'
)
_URL_ENCODED = b"application/x-www-form-urlencoded"
_DATA_URL = b"data:image/png;base64," + _PIXEL


def _requests() -> Sequence[bytes]:
    documents = [
        b'{"image": "%b", "top_k": 2, "labels": ["a", "b"], "report": true}' % _PIXEL,
        b'{"images": ["%b", "", null, 1], "threshold": 0.5}' % _DATA_URL,
        b'{"tensor": [[0.5, 1], [2, 3]], "output": "y", "normalize": "1"}',
        b'{"image": "%b", "version": "1", "label": "stable"}' % _PIXEL,
    ]
    return [
        *(b"application/json\n*/*\n\n" + document for document in documents),
        _MULTIPART + b"\nimage/png, */*;q=.2\ntop_k=3&labels=a,b\n" + _PARTS,
        _URL_ENCODED + b"\n\nversion=1\nimage=%b&labels[]=a&labels[]=b" % _PIXEL,
        b"image/png\napplication/json\nlabel=canary\n" + _saved("L", "PNG"),
        b"\n\n\n" + _npy((2, 3), "<f4"),
    ]


_JSON_WORDS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"image"', b'"images"', b'"tensor"', b"null", b"true"),
    *(b"1.5", b"-0", b"0e400", b'"\\ud800"', b'"a"', b"Infinity", b'["a",', b"[[]],"),
)
_FORM_WORDS = (
    *(b"--b", b"--b--", b"\r\n\r\n", b"Content-Disposition: form-data; name=", b'filename*=""'),
    *(b"charset=utf-16", b"&", b"=", b"%", b"+", b"image", b"labels[]", b"tensor", b"; boundary="),
)

TARGETS = (
    Target(
        name="picture",
        read=read_picture,
        refusals=(ImageError,),
        seeds=pictures,
        words=(b"IHDR", b"IDAT", b"tRNS", b"VP8L", b"VP8X", b"ftyp", b"\xff\xda", b"!\xf9\x04"),
        examples=150,
        longest=8192,
    ),
    Target(
        name="base64",
        read=read_base64,
        refusals=(MissingImage, InvalidBase64),
        seeds=lambda: (_PIXEL, _DATA_URL, b" aGk\n", b"aGk_-w==", b"data:,x"),
        words=(b"data:", b";base64,", b"=", b"-", b"_", b"+"),
    ),
    Target(
        name="json-body",
        read=read_json_body,
        refusals=(ValueError,),
        seeds=lambda: [request.split(b"\n", 3)[3] for request in _requests()[:4]],
        words=_JSON_WORDS,
    ),
    Target(
        name="json-tensor",
        read=read_json_tensor,
        refusals=(ValueError, InvalidTensor),
        seeds=lambda: (
            b"[[0.5, 1], [2, 3]]",
            b"[true, false]",
            b"7",
            b'["a", 1]',
            b"[[1], [2, 3]]",
        ),
        words=_JSON_WORDS,
    ),
    Target(
        name="npy",
        read=read_npy_file,
        refusals=(InvalidTensor,),
        seeds=lambda: (
            _npy((2, 3), "<f4"),
            _npy((4, 4, 3), "|u1", order="F"),
            _npy((0,), ">i8"),
            _npy((), "|b1"),
            _npy((2,), "<U3"),
        ),
        words=(b"'descr'", b"'shape'", b"(1,)", b"True", b"'<f8'", b"'|O'", b"\x93NUMPY\x02\0"),
    ),
    Target(
        name="form",
        read=read_form_body,
        refusals=(BodyTooLarge, MissingImage),
        seeds=lambda: (
            _MULTIPART + b"\n" + _PARTS,
            _URL_ENCODED + b"\nimage=%41" + _PIXEL + b"&top_k=+3&x",
            b"text/plain\nx",
        ),
        words=_FORM_WORDS,
    ),
    Target(
        name="request",
        read=read_request,
        refusals=(GatewayError,),
        seeds=_requests,
        words=(*_JSON_WORDS, *_FORM_WORDS, b"application/json", b"image/png", b"\n"),
    ),
    Target(
        name="json-answer",
        read=read_json_answer,
        refusals=(ValueError, RecursionError, ServingError),  # as the client of Serving expects
        seeds=lambda: (b"[[0.5, 1, 2], [3, 4, 5]]", b"[[1e5, -1, NaN], [0, 0, 0]]", b"[1, [2]]"),
        words=_JSON_WORDS,
    ),
    Target(
        name="grpc-answer",
        read=read_grpc_answer,
        refusals=(ModelServerError, ServingError),
        seeds=_grpc_answers,
        words=(b"\x0a", b"\x12", b"\x08\x01", b"\x2a", b"\x22", b"\x80\x80\x80\x80\x04"),
    ),
    Target(
        name="accept",
        read=read_accept,
        refusals=(NotAcceptable,),
        seeds=lambda: (
            b"*/*",
            b"image/png, application/json;q=.5",
            b"text/html, */*;q=0",
            b"application/json; charset=utf-8; q=1.000, *",
        ),
        words=(b"q=", b";", b",", b"*/*", b"image/*", b"q=1e400", b'"', b"="),
    ),
)
