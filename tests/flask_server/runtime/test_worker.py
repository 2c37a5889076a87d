from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import pytest

gthread = pytest.importorskip("gunicorn.workers.gthread", reason="gunicorn needs a Unix system")

from gunicorn.http.errors import InvalidHeader  # noqa: E402

from flask_server.runtime.worker import StayingWorker  # noqa: E402 (imports gunicorn)
from tests.flask_server.conftest import MakeApp  # noqa: E402


class Connection:
    """One end of a pair of sockets; gunicorn's part reads one byte per request."""

    def __init__(self) -> None:
        self.sock, self.caller = socket.socketpair()
        self.answered: list[bytes] = []


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    connection = Connection()

    def handle(_: Any, conn: Connection) -> bool:
        conn.answered.append(conn.sock.recv(1))
        return True

    monkeypatch.setattr(gthread.ThreadWorker, "handle", handle)
    yield connection
    connection.sock.close()
    connection.caller.close()


def worker(connections: int = 1, *, alive: bool = True) -> StayingWorker:
    worker = StayingWorker.__new__(StayingWorker)
    worker.alive, worker.nr_conns, worker.cfg = alive, connections, SimpleNamespace(threads=2)
    return worker


def test_a_thread_answers_what_its_connection_asks_next(connection: Connection) -> None:
    connection.caller.sendall(b"abc")

    assert worker().handle(connection) is True

    assert connection.answered == [b"a", b"b", b"c"]


@pytest.mark.parametrize("busy", [worker(3), worker(alive=False)], ids=["crowded", "stopping"])
def test_a_thread_goes_where_others_may_need_it(
    busy: StayingWorker, connection: Connection
) -> None:
    connection.caller.sendall(b"abc")

    assert busy.handle(connection) is True

    assert connection.answered == [b"a"]


def test_a_caller_that_stops_within_its_first_request_is_given_up(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_server.runtime.worker.STALL_S", 0.05)

    with pytest.raises(BlockingIOError):
        worker().handle(connection)


def drip(caller: socket.socket, count: int) -> None:
    for _ in range(count):
        with suppress(OSError):
            caller.sendall(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("pace", "outcome"),
    [
        pytest.param(1000, pytest.raises(BlockingIOError, match="too slowly"), id="too slow"),
        pytest.param(10, nullcontext(), id="fast enough"),
    ],
)
def test_a_request_has_to_arrive_at_some_pace(
    pace: int,
    outcome: AbstractContextManager[object],
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flask_server.runtime.paced_socket.ARRIVAL_S", 0.1)
    monkeypatch.setattr("flask_server.runtime.paced_socket.MIN_BYTES_PER_S", pace)
    monkeypatch.setattr(
        gthread.ThreadWorker, "handle", lambda _, conn: [conn.sock.recv(1) for _ in range(20)]
    )
    with ThreadPoolExecutor() as pool:
        pool.submit(drip, connection.caller, 20)
        with outcome:
            worker().handle(connection)


def test_each_request_has_its_own_time_to_arrive(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_server.runtime.paced_socket.ARRIVAL_S", 0.1)
    for _ in range(3):
        connection.caller.sendall(b"a")
        worker().handle(connection)
        time.sleep(0.08)

    assert connection.answered == [b"a"] * 3


def test_a_caller_that_does_not_close_is_not_waited_for_in_the_thread_that_serves_all(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gthread.ThreadWorker, "handle", lambda *_: False)
    monkeypatch.setattr(
        "flask_server.runtime.worker.close_graceful",
        lambda sock: gthread.util.close_graceful(sock, 0.05),
    )

    assert worker().handle(connection) is False

    assert connection.caller.recv(1) == b""
    connection.sock.setblocking(False)
    assert connection.sock.recv(1) == b""


@pytest.mark.parametrize(
    ("origins", "allowed"), [(("*",), b"Allow-Origin: *\r\n"), (("http://a",), b"\r\n\r\n{")]
)
def test_the_log_names_what_is_no_http_but_does_not_quote_it(
    connection: Connection,
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    origins: tuple[str, ...],
    allowed: bytes,
) -> None:
    busy = worker()
    busy.wsgi = make_app(cors_origins=origins)
    busy.log = logging.getLogger("refusals")

    busy.handle_error(None, connection.sock, ("127.0.0.1", 1), InvalidHeader("X-API-Key secret"))

    answer = connection.caller.recv(9999)
    assert b"(InvalidHeader)" in answer
    assert allowed in answer
    assert "InvalidHeader" in caplog.text
    assert "secret" not in caplog.text + answer.decode()


@pytest.mark.parametrize("end", [False, object()], ids=["closed", "deferred"])
def test_a_connection_that_is_not_kept_is_left(
    end: object, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.caller.sendall(b"abc")
    monkeypatch.setattr(gthread.ThreadWorker, "handle", lambda *_: end)

    assert worker().handle(connection) is end
