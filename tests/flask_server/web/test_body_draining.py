from __future__ import annotations

import io
import socket
from types import SimpleNamespace
from typing import IO, cast

import pytest
from werkzeug.exceptions import ClientDisconnected

from flask_server.web.body_draining import drain
from flask_server.web.body_limits import BoundedStream


def test_drain_leaves_nothing() -> None:
    body = io.BytesIO(bytes(1_000_000))

    assert drain(BoundedStream(body, limit=10))
    assert body.read() == b""


def test_a_caller_that_stalls_is_given_up() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(0.05)
        far.sendall(b"half a bo")
        body = BoundedStream(cast(IO[bytes], SimpleNamespace(read=near.recv)), limit=100)

        assert body.read(20) == b"half a bo"
        with pytest.raises(ClientDisconnected):
            body.read(20)
        far.sendall(b"dy")
        assert not drain(body)


def test_drain_stops_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_server.web.body_draining.DRAIN_BYTES", 100_000)
    body = io.BytesIO(bytes(1_000_000))

    assert not drain(BoundedStream(body, limit=10))
    assert len(body.read()) > 800_000
