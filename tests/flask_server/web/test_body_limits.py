from __future__ import annotations

import io
from types import SimpleNamespace
from typing import IO, cast

import pytest
from werkzeug.exceptions import ClientDisconnected

from flask_server.errors import BodyTooLarge
from flask_server.web.body_draining import drain
from flask_server.web.body_limits import BoundedStream


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
