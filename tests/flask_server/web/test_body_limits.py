from __future__ import annotations

import io
from types import SimpleNamespace
from typing import IO, cast

import pytest
from flask.testing import FlaskClient
from werkzeug.exceptions import ClientDisconnected

from flask_server.errors import BodyTooLarge
from flask_server.web.body_draining import drain
from flask_server.web.body_limits import BoundedStream
from tests.flask_server.conftest import flat


@pytest.mark.parametrize("size", [-1, 3, 100])
def test_limit_is_inclusive(size: int) -> None:
    stream = BoundedStream(io.BytesIO(bytes(10)), limit=10)

    assert b"".join(iter(lambda: stream.read(size), b"")) == bytes(10)


@pytest.mark.parametrize("size", [-1, 3, 100])
def test_one_byte_more_is_refused(size: int) -> None:
    stream = BoundedStream(io.BytesIO(bytes(11)), limit=10)

    with pytest.raises(BodyTooLarge, match="more than 10 bytes; at most 10 bytes"):
        list(iter(lambda: stream.read(size), b""))


def test_a_malformed_body_is_the_callers_mistake() -> None:
    def broken(_: int) -> bytes:
        raise RuntimeError("a WSGI server's own error")

    body = BoundedStream(cast(IO[bytes], SimpleNamespace(read=broken)), limit=100)

    with pytest.raises(ClientDisconnected, match="malformed"):
        body.read(20)
    assert not drain(body)


@pytest.mark.parametrize("path", ["/models/toy/predict", "/imageclassifier/predict/", "/healthz"])
@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "Deflate,chunked", "", "chunked, x"])
def test_transfer_codings_that_nobody_undoes_are_refused(
    client: FlaskClient, path: str, coding: str
) -> None:
    response = client.post(path, data=flat("white"), headers={"Transfer-Encoding": coding})

    assert response.status_code == 501
    assert response.json is not None
    assert response.json["detail"] == "The transfer coding is not supported; allowed is chunked."


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "identity, chunked"])
def test_chunked_bodies_are_read(client: FlaskClient, coding: str) -> None:
    headers = {"Transfer-Encoding": coding}

    response = client.post(
        "/models/toy/predict",
        data=flat("white"),
        headers=headers,
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert response.status_code == 200
