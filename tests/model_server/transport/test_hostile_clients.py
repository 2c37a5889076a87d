"""Clients that stall, flood or never read, on real sockets: others are answered all the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from model_server.byte_budget import ByteBudget
from model_server.transport import connection as connection_module
from model_server.transport import connection_events
from model_server.transport.http_messages import Request, Response
from model_server.transport.http_server import HttpServer, serve
from model_server.transport.limits import Limits
from tests.model_server.harness import Client, http_server, in_threads
from tests.waiting import PATIENCE_S, eventually

POST = b"POST /p HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BIG = 20 << 20


def echo(request: Request) -> Response:
    return Response(200, b"x" * BIG if request.path == "/big" else request.body)


@contextmanager
def sockets(client: Client, count: int, data: bytes) -> Iterator[list[socket.socket]]:
    """Open connections and send the same bytes on each."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", client.port), timeout=60)
            opened.append(stack.enter_context(sock))
            sock.sendall(data)
        yield opened


def received(sock: socket.socket) -> bytes:
    """Return all bytes up to the end of the connection."""
    data = b""
    while piece := sock.recv(1 << 20):
        data += piece
    return data


def is_answered(client: Client) -> None:
    assert client.call("POST", "/p", b"body").body == b"body"
    assert client.call("GET", "/a").status == 200


STALLS = {
    "nothing": b"",
    "half a head": b"GET /hea",
    "half a body": POST + b"Content-Length: 100\r\n\r\nhalf",
    "half a chunk": CHUNKED + b"10\r\nhalf",
    "half a line": CHUNKED + b"1",
    "half a trailer": CHUNKED + b"0\r\nT: 1\r\n",
    "the body not sent": POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    "a request, then half of one": b"GET /a HTTP/1.1\r\n\r\nGET",
}


@pytest.mark.parametrize("data", STALLS.values(), ids=STALLS)
def test_unfinished_requests_hold_no_thread(data: bytes) -> None:
    before = threading.active_count()
    with http_server(echo, threads=1) as client, sockets(client, 100, data):
        is_answered(client)
        assert threading.active_count() < before + 50


@pytest.mark.parametrize("count", [1, 8])
def test_clients_that_do_not_read_hold_no_thread(count: int) -> None:
    ask = b"POST /big HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    with http_server(echo, threads=1) as client, sockets(client, count, ask) as opened:
        is_answered(client)
        opened[0].sendall(b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n")
        data = received(opened[0])

    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert len(data) > BIG


@pytest.mark.parametrize("name", [name for name in STALLS if name != "nothing"])
def test_a_request_that_arrives_too_slowly_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "TRANSFER_S", 0.2)
    with http_server(echo) as client, sockets(client, 1, STALLS[name]) as [sock]:
        data = received(sock)

    assert b"HTTP/1.1 408 Request Time-out\r\n" in data
    assert b'{\n    "error": "The request arrives too slowly."\n}' in data


def test_a_response_that_is_read_too_slowly_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "TRANSFER_S", 0.2)
    monkeypatch.setattr(connection_module, "MIN_BYTES_PER_S", 1e12)
    budget = ByteBudget(1 << 30)
    ask = b"POST /big HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    with http_server(echo, budget=budget) as client, sockets(client, 1, ask):
        assert eventually(lambda: budget.used > 0)
        assert eventually(lambda: budget.used == 0)


def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "IDLE_S", 0.2)
    with http_server(echo) as client, sockets(client, 1, b"") as [sock]:
        assert received(sock) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(POST + b"Content-Length: 1001\r\n\r\n", id="length"),
        pytest.param(CHUNKED + b"3e9\r\n", id="chunk"),
    ],
)
def test_a_client_that_sends_too_much_receives_the_reason(request_bytes: bytes) -> None:
    limits = Limits(max_body_bytes=1000)
    with http_server(echo, limits=limits) as client:
        with sockets(client, 1, request_bytes) as [sock]:
            sock.sendall(b"x" * 20_000_000)
            data = received(sock)
        is_answered(client)

    assert data.startswith(b"HTTP/1.1 413 Request Entity Too Large\r\n")
    assert b"1000 bytes, the limit that --rest_api_max_body_bytes sets" in data


def test_a_client_that_waits_for_leave_for_too_much_is_refused() -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"
    with http_server(echo, limits=Limits(max_body_bytes=1000)) as client:
        reply = client.raw(head, until=lambda data: b"\r\n\r\n" in data)

    assert reply.startswith(b"HTTP/1.1 413 ")


def test_the_bodies_of_all_connections_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_events, "_SLOW_S", 60.0)  # a busy machine may delay the second
    budget = ByteBudget(1 << 20)
    head = POST + b"Content-Length: 600000\r\n\r\n"
    with http_server(echo, budget=budget) as client:
        with sockets(client, 1, head + b"x" * 599_999) as [first]:
            assert eventually(lambda: budget.used > 599_999)
            refused = client.call("POST", "/p", b"y" * 600_000)
            is_answered(client)
            first.sendall(b"x")
            answer = first.recv(100)
        assert eventually(lambda: budget.used == 0)
        accepted = client.call("POST", "/p", b"y" * 600_000)

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "--rest_api_max_total_bytes" in refused.error
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert accepted.status == 200


def test_when_memory_is_short_the_slowest_request_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_events, "_SLOW_S", 0.0)
    budget = ByteBudget(1 << 20)
    head = POST + b"Content-Length: 600000\r\n\r\n"
    with http_server(echo, budget=budget) as client:
        with sockets(client, 1, head + b"x" * 599_999) as [slow]:
            assert eventually(lambda: budget.used > 599_999)
            accepted = client.call("POST", "/p", b"y" * 600_000)
            data = received(slow)

    assert accepted.status == 200
    assert data.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_nothing_stays_counted_after_a_client_has_left() -> None:
    budget = ByteBudget(1 << 30)
    with http_server(echo, budget=budget) as client:
        for data in (*STALLS.values(), b"NOISE\r\n\r\n", CHUNKED + b"zz\r\n"):
            with sockets(client, 3, data):
                pass
        is_answered(client)
        assert eventually(lambda: budget.used == 0)


@pytest.mark.parametrize("data", [b"", b"GET /hea"])
def test_the_oldest_waiting_connections_are_closed_for_new_ones(data: bytes) -> None:
    with http_server(echo, limits=Limits(connections=8)) as client:
        with sockets(client, 40, data) as opened:
            is_answered(client)
            with suppress(ConnectionResetError):  # what it had sent was not read
                assert received(opened[0]) == b""


def test_connections_that_are_being_answered_are_not_closed() -> None:
    release, started = threading.Event(), threading.Semaphore(0)

    def work(request: Request) -> Response:
        if request.method == "POST":
            started.release()
            assert release.wait(60)
        return echo(request)

    replies: list[int] = []
    with http_server(work, limits=Limits(connections=4)) as client:

        def post(_: int) -> None:
            replies.append(client.call("POST", "/p", b"x").status)

        with in_threads(4, post):
            for _ in range(4):
                started.acquire()
            with sockets(client, 1, b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n") as [waiting]:
                release.set()
                assert received(waiting).startswith(b"HTTP/1.1 200 ")

    assert replies == [200] * 4


def test_other_methods_are_answered_while_all_threads_run_models() -> None:
    release, started = threading.Event(), threading.Event()

    def work(request: Request) -> Response:
        if request.method == "POST":
            started.set()
            assert release.wait(60)
        return echo(request)

    with http_server(work, threads=1) as client:
        with in_threads(3, lambda _: _status(client.call("POST", "/p", b"x"))):
            started.wait(60)
            assert client.call("GET", "/a").status == 200
            release.set()


def _status(reply: object) -> None:
    assert getattr(reply, "status", 0) == 200


def test_requests_of_several_methods_in_one_piece_are_answered_in_order() -> None:
    piece = POST + b"Content-Length: 1\r\n\r\n1" + b"GET /a HTTP/1.1\r\n\r\n"
    with http_server(lambda request: Response(200, request.method.encode())) as client:
        reply = client.raw(piece * 20, until=lambda data: data.count(b"200 OK\r\n") == 40)

    answers = [line for line in reply.split(b"\r\n") if line.endswith((b"HTTP/1.1 200 OK",))]
    assert len(answers) == 40
    order = reply.replace(b"HTTP/1.1 200 OK", b"").split(b"\r\n\r\n")[1:]
    assert [body[:3] for body in order] == [b"POS", b"GET"] * 20


def test_an_unexpected_error_ends_only_its_connection() -> None:
    def work(request: Request) -> Response:
        if request.path == "/bad":
            raise RuntimeError("a bug")
        return echo(request)

    with http_server(work, threads=1) as client:
        for _ in range(3):
            assert client.raw(b"POST /bad HTTP/1.1\r\nContent-Length: 0\r\n\r\n") == b"<EOF>"
        is_answered(client)


@contextmanager
def draining(server: HttpServer) -> Iterator[None]:
    """Drain the server at the end."""
    serve(server)
    try:
        yield
    finally:
        assert server.drain(PATIENCE_S)


def test_a_stop_under_load_resets_no_connection() -> None:
    server = HttpServer("127.0.0.1", 0, echo, threads=4)
    ends: list[str] = []
    running = threading.Semaphore(0)

    def ask_again_and_again(_: int) -> None:
        ends.append(_asked(server.port, running.release))

    with draining(server), in_threads(8, ask_again_and_again):
        for _ in range(80):
            running.acquire()
        assert server.drain(PATIENCE_S)

    # A client that sends nothing for a while is idle: its connection is closed without a response.
    assert set(ends) <= {"Connection: close", "closed while idle"}
    assert "Connection: close" in ends


def _asked(port: int, note: Callable[[], None]) -> str:
    """Ask over one connection until the server ends it; tell how that happened."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        while True:
            try:
                sock.sendall(POST + b"Content-Length: 1\r\n\r\nx")
                data = sock.recv(4096)
                if b"Connection: close" in data:
                    return "Connection: close" if sock.recv(1) == b"" else "more data"
            except OSError as error:
                return repr(error)
            if not data:
                return "closed while idle"
            if not data.startswith(b"HTTP/1.1 200 "):
                return repr(data)
            note()


def test_a_stop_closes_idle_connections_without_a_reset() -> None:
    server = HttpServer("127.0.0.1", 0, echo, threads=4)
    with draining(server), sockets(Client(server.port), 3, b"GET /a HTTP/1.1\r\n\r\n") as opened:
        for sock in opened:
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        assert server.drain(PATIENCE_S)
        assert [received(sock) for sock in opened] == [b""] * 3


def test_what_waits_to_be_accepted_at_a_stop_is_answered() -> None:
    server = HttpServer("127.0.0.1", 0, echo, threads=4)
    ask = b"GET /a HTTP/1.1\r\n\r\n"
    with sockets(Client(server.port), 100, ask) as opened, draining(server):
        assert server.drain(PATIENCE_S)
        answers = [received(sock) for sock in opened]

    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
