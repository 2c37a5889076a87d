from __future__ import annotations

import io
import socket
from types import SimpleNamespace
from typing import IO, cast

import pytest
from werkzeug.exceptions import ClientDisconnected

from flask_server.errors import BodyTooLarge
from flask_server.web.body_limits import BoundedStream, give_up_after


@pytest.mark.parametrize("size", [-1, 3, 100])
def test_limit_is_inclusive(size: int) -> None:
    stream = BoundedStream(io.BytesIO(bytes(10)), limit=10)

    assert b"".join(iter(lambda: stream.read(size), b"")) == bytes(10)


@pytest.mark.parametrize("size", [-1, 3, 100])
def test_one_byte_more_is_refused(size: int) -> None:
    stream = BoundedStream(io.BytesIO(bytes(11)), limit=10)

    with pytest.raises(BodyTooLarge, match="more than 10 bytes; at most 10 bytes"):
        list(iter(lambda: stream.read(size), b""))


def test_drain_leaves_nothing() -> None:
    body = io.BytesIO(bytes(1_000_000))

    assert BoundedStream(body, limit=10).drain()
    assert body.read() == b""


def test_a_caller_that_stalls_is_given_up() -> None:
    near, far = socket.socketpair()
    with near, far:
        give_up_after(near, 0.05)
        far.sendall(b"half a bo")
        body = BoundedStream(cast(IO[bytes], SimpleNamespace(read=near.recv)), limit=100)

        assert body.read(20) == b"half a bo"
        with pytest.raises(ClientDisconnected):
            body.read(20)
        far.sendall(b"dy")
        assert not body.drain()


def test_a_malformed_body_is_the_callers_mistake() -> None:
    def broken(_: int) -> bytes:
        raise RuntimeError("a WSGI server's own error")

    body = BoundedStream(cast(IO[bytes], SimpleNamespace(read=broken)), limit=100)

    with pytest.raises(ClientDisconnected, match="malformed"):
        body.read(20)
    assert not body.drain()
