"""Requests that nobody wrote by hand: whatever comes, the document says what is answered.

``FUZZ_EXAMPLES=1000 pytest tests/flask_server/test_fuzz_api.py`` looks longer than the suite does.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from functools import partial
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from flask_server.app import close_app, create_app
from flask_server.inference.npy import MAGIC
from flask_server.openapi import document
from flask_server.openapi.problems import CODES
from flask_server.settings import Settings
from tests.flask_server.conftest import b64, draw
from tests.flask_server.stub_serving import StubServing

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# The gateway draws random numbers in the threads of its polls, while an example is made.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))


@schemathesis.check
def code_is_told(
    ctx: object, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """The operation lists the code of a problem at its status; other checks look at the status."""
    told = case.operation.definition.raw["responses"].get(str(response.status_code), {})
    if CODES in told:
        assert response.json()["code"] in told[CODES]


#: Random text is no picture, so what keeps to the schema need not be accepted; what does not may be
#: (several pictures have an error each).
CONFORMING: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
    code_is_told,
]
PICTURES = [draw(kind) for kind in ("PNG", "JPEG", "GIF", "BMP")]


@st.composite
def damaged_pictures(choose: st.DrawFn) -> bytes:
    """A picture with some bytes changed and maybe its tail lost."""
    data = bytearray(choose(st.sampled_from(PICTURES)))
    for _ in range(choose(st.integers(0, 4))):
        data[choose(st.integers(0, len(data) - 1))] = choose(st.integers(0, 255))
    return bytes(data[: choose(st.integers(0, len(data)))])


ANY_PICTURE = st.sampled_from(PICTURES) | damaged_pictures() | st.binary(max_size=64)


def npy(shape: tuple[int, ...], dtype: str) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(shape, dtype))
    return file.getvalue()


#: Tensors that fit the model, others, and bytes that are none.
ANY_TENSOR = st.sampled_from([(4, 4, 3), (2, 4, 4, 3), (4, 4), (0,), ()]).flatmap(
    lambda shape: st.sampled_from(["<f4", "|u1", ">i8", "|b1"]).map(partial(npy, shape))
) | st.binary(max_size=64).map(MAGIC.__add__)

schemathesis.openapi.media_type("application/x-npy", ANY_TENSOR)
schemathesis.openapi.media_type("image/png", ANY_PICTURE)
schemathesis.openapi.media_type("application/octet-stream", ANY_PICTURE)
schemathesis.openapi.format("picture", ANY_PICTURE.map(b64) | st.text(max_size=64))


#: Values that get further than random ones; those of the body stay random.
KNOWN: dict[str, dict[str, Any]] = {
    "name": {"enum": ["toy", "nowhere"]},
    "top_k": {"type": "integer", "minimum": 1, "maximum": 4},
    "labels": {"type": "array", "items": {"enum": ["id0", "light", "none"]}},
    "version": {"enum": [1, 2]},
    "label": {"enum": ["canary", "none"]},
    "class": {"enum": ["light", "none"]},
    "grid": {"type": "integer", "minimum": 1, "maximum": 5},
}


def likely(node: Any) -> Any:
    """The document, with values that exist and texts that may be pictures."""
    if isinstance(node, list):
        return [likely(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key.replace("image/*", "image/png"): likely(value) for key, value in node.items()}
    if made.get("in") in {"path", "query"} and made["name"] in KNOWN:
        made["schema"] = KNOWN[made["name"]]
    if made.get("contentEncoding") == "base64":
        made["format"] = "picture"
    # schemathesis turns it into a form that it then refuses; test_openapi.py looks at the triples.
    made.pop("prefixItems", None)
    return made


@pytest.fixture(scope="module")
def stub() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        stub.labels["canary"] = 1
        yield stub


#: What a Serving in trouble answers to predictions, one after the other.
FAULTS: list[tuple[int, Any]] = [
    (200, b"{"),
    (200, b"\xff"),
    (200, {"predictions": []}),
    (200, {"predictions": [["a", "b", "c"]]}),
    (200, b'{"predictions": [[NaN, 1, 2]]}'),
    (200, b'{"predictions": [[1e999, 1, 2]]}'),
    (200, {"predictions": {"scores": 1}}),
    (200, []),
    (400, {"error": "\ud800 \r\n"}),
    (429, {"error": "no"}),
    (500, b"<html>"),
    (503, {}),
]


@pytest.fixture
def troubled(stub: StubServing) -> Iterator[None]:
    faults = cycle(FAULTS)

    def turn() -> None:
        stub.answer = next(faults)

    stub.before_predict = turn
    yield
    stub.before_predict, stub.answer = lambda: None, None


class Late:
    """A WSGI app that is known before it is there, as tests are collected before they run."""

    app: Flask

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        return self.app(environ, start)


LATE = Late()


@pytest.fixture(scope="module")
def gateway(stub: StubServing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    models: Path = tmp_path_factory.mktemp("fuzz") / "models.toml"
    models.write_text('[models.toy]\nbase_path = "toy"\n')
    LATE.app = create_app(Settings(serving_url=stub.url, models_file=models))
    yield
    close_app(LATE.app)


API: BaseSchema = schemathesis.openapi.from_dict(likely(document.document(Settings(), "toy")))
API.app = LATE


LOOKING = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@API.parametrize()
@LOOKING
def test_every_answer_is_one_that_the_document_tells(
    gateway: None, case: schemathesis.Case[Any]
) -> None:
    case.call_and_validate(checks=[not_a_server_error, *CONFORMING])


@pytest.mark.slow
@API.include(operation_id=["predict", "explain", "predictOriginal"]).parametrize()
@LOOKING
def test_trouble_of_serving_is_told_as_such(
    gateway: None, troubled: None, case: schemathesis.Case[Any]
) -> None:
    response = case.call_and_validate(checks=CONFORMING)

    assert response.status_code != HTTPStatus.INTERNAL_SERVER_ERROR
