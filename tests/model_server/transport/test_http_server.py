"""HTTP as clients really speak it: bytes on a socket."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from model_server.transport import worker_pool
from model_server.transport.http_messages import Request, Response
from model_server.transport.http_server import HttpServer, serve
from model_server.transport.request_threads import LARGE_BYTES
from tests.model_server.harness import Client, http_server, in_threads
from tests.resource_limits import memory_left, needs_prlimit
from tests.waiting import PATIENCE_S, eventually


def echo(request: Request) -> Response:
    return Response(200, f"{request.method} {request.target} ".encode() + request.body)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with http_server(echo) as client:
        yield client


def bodies(data: bytes) -> list[bytes]:
    """Return the bodies of the answers in the data."""
    lengths = [int(n) for n in re.findall(rb"Content-Length: (\d+)\r\n\r\n", data)]
    starts = [match.end() for match in re.finditer(rb"\r\n\r\n", data)]
    return [data[start : start + length] for start, length in zip(starts, lengths, strict=False)]


POST = b"POST /p HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", b"GET /a ", id="no host"),
        pytest.param(POST + b"Content-Length: 4\r\n\r\nbody", b"POST /p body", id="a body"),
        pytest.param(POST + b"\r\n", b"POST /p ", id="no length"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nbod\r\n1\r\ny\r\n0\r\nT: 1\r\n\r\n",
            b"POST /p body",
            id="chunks and a trailer",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n0004 ; x\r\nbody\r\n0 \r\n\r\n",
            b"POST /p body",
            id="zeros and blanks around the size of a chunk",
        ),
        pytest.param(
            b"GET /a HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", b"GET /a ", id="100 kB header"
        ),
        pytest.param(
            POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
            b"POST /p body",
            id="an expectation that did not wait",
        ),
    ],
)
def test_requests_that_are_answered(client: Client, request_bytes: bytes, body: bytes) -> None:
    reply = client.raw(request_bytes, until=lambda data: bodies(data) == [body])

    assert bodies(reply) == [body]
    assert not reply.endswith(b"<EOF>")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400 Bad Request"),
        (b"GET /a b HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /a HTTP/1.1\r\nno colon\r\n\r\n", b"400 Bad Request"),
        (POST + b"Content-Length: -1\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n 1\r\nx\r\n0\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0_1\r\nx\r\n0\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n\r\nx\r\n0\r\n\r\n", b"400 Bad Request"),
        (b"FOO /a HTTP/1.1\r\n\r\n", b"501 Not Implemented"),
        (b"TRACE /a HTTP/1.1\r\n\r\n", b"501 Not Implemented"),
        (b"GET /a HTTP/1.1\r\nExpect: cake\r\n\r\n", b"417 Expectation Failed"),
        (b"X" * (1 << 21), b"400 Bad Request"),
        (b"GET /a HTTP/1.1\nHost: x\n\n", b"400 Bad Request"),
        (POST + CHUNKED + b"1\nx\n0\n\n", b"400 Bad Request"),
        (POST + CHUNKED + b"0\r\nT: 1\nU: 2\r\n\r\n", b"400 Bad Request"),
        (POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nbodyx", b"400 Bad Request"),
        (POST + b"Content-Length: 4\r\n" + CHUNKED + b"0\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: identity\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", b"400 Bad Request"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"501 Not Implemented"),
    ],
)
def test_requests_that_end_the_connection(
    client: Client, request_bytes: bytes, status: bytes
) -> None:
    reply = client.raw(request_bytes)

    assert reply.startswith(b"HTTP/1.1 " + status)
    assert reply.endswith(b"<EOF>")


def test_a_client_that_waits_for_leave_gets_it(client: Client) -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"

    waiting = client.raw(head, until=lambda data: data.endswith(b"\r\n\r\n"))
    whole = client.raw(head, b"body", until=lambda data: data.endswith(b"body"))

    assert waiting == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert whole.startswith(waiting)
    assert whole.endswith(b"POST /p body")


def test_requests_in_one_piece_are_answered_in_order(client: Client) -> None:
    request = b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(3))
    expected = [b"GET /0 ", b"GET /1 ", b"GET /2 "]

    assert bodies(client.raw(request, until=lambda data: bodies(data) == expected)) == expected


def test_a_request_may_come_byte_by_byte(client: Client) -> None:
    request = POST + b"Content-Length: 2\r\n\r\nok"

    pieces = (bytes((byte,)) for byte in request)
    reply = client.raw(*pieces, until=lambda data: bodies(data) == [b"POST /p ok"])

    assert bodies(reply) == [b"POST /p ok"]


def test_a_20_mb_body_arrives_whole(client: Client) -> None:
    body = b"x" * 20_000_000

    assert client.call("POST", "/p", body).body == b"POST /p " + body


def test_a_client_that_leaves_in_the_middle_hurts_nobody(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(POST + b"Content-Length: 1000\r\n\r\npart")

    assert client.call("GET", "/a").status == 200


def test_no_more_requests_are_worked_on_than_there_are_threads() -> None:
    lock, now, most = threading.Lock(), 0, 0
    meet = threading.Barrier(2, timeout=60)

    def work(_: Request) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        meet.wait()
        time.sleep(0.05)  # time for a third one, which must not come
        with lock:
            now -= 1
        return Response(200)

    with http_server(work, threads=2) as client, in_threads(6, lambda _: _get(client)):
        pass

    assert most == 2


def test_costly_requests_leave_threads_to_others() -> None:
    release = threading.Event()

    def work(request: Request) -> Response:
        return Response(200, b"done") if request.body != b"costly" else _held(release)

    def is_costly(request: Request) -> bool:
        return request.body == b"costly"

    with http_server(work, threads=4, is_costly=is_costly) as client:
        with in_threads(6, lambda _: _post(client, b"costly")):
            for _ in range(4):
                assert client.call("POST", "/p", b"cheap").body == b"done"
            release.set()


def _held(release: threading.Event) -> Response:
    release.wait(60)
    return Response(200)


@needs_prlimit
def test_a_body_without_memory_for_it_is_refused(client: Client) -> None:
    body = bytes(192 << 20)

    with memory_left(os.getpid(), 24 << 20):
        refused = client.call("POST", "/p", body)
        answered = client.call("POST", "/p", b"small")

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.json == {"error": "The server has no memory for the request; try again."}
    assert answered.body == b"POST /p small"


def test_without_any_thread_a_request_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(echo) as client:
        monkeypatch.setattr(worker_pool, "threading", SimpleNamespace(Thread=_no_thread))
        refused = client.call("POST", "/p", b"x")
        monkeypatch.undo()
        answered = client.call("POST", "/p", b"x")

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert "cannot start a thread" in refused.error
    assert answered.status == 200


def test_with_one_thread_a_request_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(_: Request) -> Response:
        time.sleep(0.02)
        return Response(200)

    with http_server(work) as client:
        assert client.call("POST", "/p", b"x").status == 200
        monkeypatch.setattr(worker_pool, "threading", SimpleNamespace(Thread=_no_thread))
        with in_threads(3, lambda _: _post(client)):
            pass


def _no_thread(**_: object) -> threading.Thread:
    raise RuntimeError("can't start new thread")


def _post(client: Client, body: bytes = b"x") -> None:
    assert client.call("POST", "/p", body).status == 200


def _get(client: Client) -> None:
    assert client.call("GET", "/a").status == 200


def test_draining_lets_running_requests_end_and_takes_no_new_ones() -> None:
    started, release, replies = threading.Event(), threading.Event(), []

    def work(_: Request) -> Response:
        started.set()
        release.wait(60)
        return Response(200, b"done")

    server = HttpServer("127.0.0.1", 0, work, threads=2)
    serve(server)
    client = Client(server.port)

    with in_threads(1, lambda _: replies.append(client.call("GET", "/a"))):
        try:
            assert started.wait(60)
            assert server.drain(0.05) is False
        finally:
            release.set()
        assert server.drain(PATIENCE_S) is True

    assert (replies[0].body, replies[0].headers["connection"]) == (b"done", "close")
    with pytest.raises(ConnectionRefusedError):
        client.call("GET", "/a")


def test_a_small_request_goes_before_large_ones_that_wait() -> None:
    started, release = threading.Event(), threading.Event()
    order: list[str] = []

    def work(request: Request) -> Response:
        started.set()
        release.wait(60)
        order.append(request.target)
        return Response(200, b"")

    server = HttpServer("127.0.0.1", 0, work, threads=1)
    serve(server)
    client = Client(server.port)

    def post(target: str, body: bytes) -> threading.Thread:
        before = server._progress.count
        thread = threading.Thread(target=client.call, args=("POST", target, body))
        thread.start()
        assert eventually(lambda: server._progress.count > before)
        return thread

    threads = []
    try:
        threads.append(post("/running", b""))
        assert started.wait(60)
        threads.append(post("/large", b"x" * (LARGE_BYTES + 1)))
        threads.append(post("/small", b"x"))
    finally:
        release.set()
        for thread in threads:
            thread.join(60)
        server.drain(10)

    assert order == ["/running", "/small", "/large"]


def test_a_wake_up_that_comes_while_another_is_taken_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = HttpServer("127.0.0.1", 0, echo, threads=1)
    server._wake()
    monkeypatch.setattr(server, "_wake_out", SimpleNamespace(recv=lambda _: server._wake()))

    server._take_wake_up()

    assert not server._is_woken  # so the next one sends a byte
    monkeypatch.undo()
    server._shut()
