"""The worker reads requests without a thread for each, so that no caller keeps others out."""

from __future__ import annotations

import json
import logging
import math
import os
import selectors
import socket
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gunicorn.workers.gthread", reason="gunicorn needs a Unix system")

from gunicorn.config import Config
from gunicorn.http.errors import InvalidHeader

from flask_server.runtime.arrival import Arrival
from flask_server.runtime.connection import Connection
from flask_server.runtime.request_threads import RequestThreads
from flask_server.runtime.worker import GatewayWorker
from tests.flask_server.conftest import MakeApp, flat
from tests.flask_server.gunicorn_process import running_gateway
from tests.flask_server.stub_serving import StubServing
from tests.flask_server.telemetry.test_metrics import Samples, samples, value
from tests.resource_limits import descriptors_left, needs_prlimit
from tests.waiting import eventually

#: More than the threads of the worker, and than it lets wait for one.
MANY = 120
#: Descriptors of the gateway that are not those of callers, such as connections to Serving.
OTHERS = 10
PREDICT = b"POST /models/toy/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway of one worker with few threads and little memory."""
    settings = {
        "GATEWAY_MAX_IN_FLIGHT": "4",
        "GATEWAY_MAX_BODY_BYTES": "1000000",
        "GATEWAY_MAX_MEMORY": "6000000",
    }
    folder = tmp_path_factory.mktemp("gateway")
    with StubServing().running() as stub, running_gateway(folder, stub.url, **settings) as url:
        yield url


@contextmanager
def callers(gateway: str, sent: bytes, count: int = MANY) -> Iterator[list[socket.socket]]:
    """Connections that have sent some bytes and then send nothing more.

    In the end the gateway has no request of them left, which would keep out the next test.
    """
    address, before = ("127.0.0.1", int(gateway.rpartition(":")[2])), descriptors(gateway)
    with ExitStack() as stack:
        yield [stack.enter_context(caller(address, sent)) for _ in range(count)]
    assert eventually(lambda: descriptors(gateway) <= before + OTHERS)


def descriptors(gateway: str) -> float:
    """Return how many files and sockets the gateway has open; infinity while it is too busy."""
    try:
        with urllib.request.urlopen(f"{gateway}/metrics", timeout=60) as answer:
            return value(samples(answer.read().decode()), "process_open_fds")
    except urllib.error.HTTPError as error:
        error.close()
        return math.inf


def caller(address: tuple[str, int], sent: bytes) -> socket.socket:
    connection = socket.create_connection(address, 60)
    connection.sendall(sent)
    return connection


def predict(gateway: str, body: bytes) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "image/png"}
    request = urllib.request.Request(f"{gateway}/models/toy/predict", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error) | {"retry_after": error.headers["Retry-After"]}


def metrics(gateway: str) -> Samples:
    with urllib.request.urlopen(f"{gateway}/metrics", timeout=60) as answer:
        return samples(answer.read().decode())


def refusals(gateway: str) -> float:
    """The number of requests that the worker has refused before it read them."""
    unread = {"route": "(unmatched)", "method": "OTHER", "status": "503", "code": "overloaded"}
    return value(metrics(gateway), "requests_total", **unread)


def in_flight(gateway: str) -> float:
    return value(metrics(gateway), "predictions_in_flight")


def predict_again(gateway: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Ask as a client that takes a 503 for what it is: so many callers at once fill the queue."""
    answers: list[tuple[int, dict[str, Any]]] = []

    def is_admitted() -> bool:
        answers.append(predict(gateway, body))
        return answers[-1][0] != 503

    assert eventually(is_admitted)
    return answers[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /hea", id="half a request line"),
        pytest.param(PREDICT, id="half a head"),
        pytest.param(PREDICT + b"Content-Length: 1000\r\n\r\nabc", id="half a body"),
        pytest.param(PREDICT + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", id="half a chunk"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", id="idle"),
        pytest.param(
            b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", id="not closed"
        ),
    ],
)
def test_callers_that_stop_anywhere_keep_nobody_out(gateway: str, sent: bytes) -> None:
    with callers(gateway, sent):
        status, answer = predict_again(gateway, flat("red"))

    assert (status, answer["model"]) == (200, "toy")


@pytest.mark.slow
def test_requests_of_one_connection_are_answered_in_order(gateway: str) -> None:
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: %d\r\n\r\n"
    with callers(gateway, b"".join(health % number for number in range(5)), 1) as (connection,):
        received = b""
        while received.count(b'{"status":"ok"}') < 5:
            received += connection.recv(65536)

    positions = [received.index(b"X-Request-ID: %d\r\n" % number) for number in range(5)]
    assert positions == sorted(positions)


@pytest.mark.slow
def test_requests_without_body_take_no_thread_of_predictions(gateway: str) -> None:
    document = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with callers(gateway, document * 60):
        status, answer = predict(gateway, flat("red"))

    assert (status, answer["model"]) == (200, "toy")


@pytest.mark.slow
def test_a_response_that_is_read_late_is_whole(gateway: str) -> None:
    with urllib.request.urlopen(f"{gateway}/openapi.json", timeout=60) as response:
        expected = response.read()
    request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with callers(gateway, request * 60 + last, 1) as (connection,):
        time.sleep(0.5)
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))

    assert received.count(expected) == 60
    assert received.rstrip().endswith(b'{"status":"ok"}')


@pytest.mark.slow
def test_a_caller_that_waits_for_a_yes_gets_it(gateway: str) -> None:
    body = flat("red")
    head = PREDICT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with callers(gateway, head, 1) as (connection,):
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.slow
def test_a_caller_that_waits_for_a_yes_gets_it_after_another_request(gateway: str) -> None:
    body = flat("red")
    head = PREDICT + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with callers(gateway, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + head, 1) as (connection,):
        received = b""
        while not received.endswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            piece = connection.recv(65536)
            assert piece, received
            received += piece
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.slow
def test_bodies_beyond_the_memory_budget_are_refused_and_it_comes_back(gateway: str) -> None:
    held = PREDICT + b"Content-Length: 1000000\r\n\r\n" + bytes(999_000)
    before = refusals(gateway)
    with callers(gateway, held, 5):
        status, problem = predict(gateway, bytes(900_000))
        assert (status, problem["code"]) == (503, "overloaded")
        assert problem["retry_after"] == "1"
    assert eventually(lambda: refusals(gateway) > before)

    for _ in range(20):
        status, _ = predict(gateway, flat("red"))
        assert status == 200


@pytest.mark.slow
def test_bodies_that_never_end_leave_memory_for_decoding(gateway: str) -> None:
    held = PREDICT + b"Content-Length: 1000000\r\n\r\n" + bytes(999_000)
    rest = PREDICT + b"Content-Length: 1000000\r\n\r\n" + bytes(990_000)
    with callers(gateway, held, 5), callers(gateway, rest, 1):
        for _ in range(10):  # the worker reads the bodies meanwhile
            status, answer = predict(gateway, flat("red"))
            assert (status, answer.get("model")) == (200, "toy")
            time.sleep(0.05)


def unhandled(gateway: str, reason: str) -> float:
    """The number of requests that ended for this reason before the app handled them."""
    return value(metrics(gateway), "unhandled_requests_total", reason=reason)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param(b"no request line\r\n\r\n", "malformed", id="malformed"),
        pytest.param(b"GET /" + b"a" * 10_000, "too_large", id="a long line"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", "too_large", id="many"),
    ],
)
def test_heads_that_are_refused_are_counted(gateway: str, sent: bytes, reason: str) -> None:
    before = unhandled(gateway, reason)

    with callers(gateway, sent, 2) as connections:
        answers = [connection.recv(65536) for connection in connections]

    assert all(answer.startswith(b"HTTP/1.1 4") for answer in answers)
    assert unhandled(gateway, reason) == before + 2


@pytest.mark.slow
def test_requests_that_clients_break_off_are_counted(gateway: str) -> None:
    before = unhandled(gateway, "aborted")

    with callers(gateway, PREDICT, 2):
        pass

    assert eventually(lambda: unhandled(gateway, "aborted") >= before + 2)


@pytest.mark.slow
def test_refusals_of_the_main_thread_are_counted(tmp_path: Path) -> None:
    body = flat("red")
    whole = PREDICT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with (
        StubServing().running() as stub,
        running_gateway(tmp_path, stub.url, GATEWAY_MAX_IN_FLIGHT="2") as url,
    ):
        assert predict(url, body)[0] == 200
        stub.delay_s = 0.5
        with callers(url, whole, 60) as connections:
            answers = [connection.recv(65536) for connection in connections]
        refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
        assert eventually(lambda: value(metrics(url), "shed_total") == len(refused))
        found = metrics(url)

    assert [answer for answer in refused if b"\r\nConnection: close\r\n" in answer]
    assert 0 < value(found, "unhandled_requests_total", reason="no_room") <= len(refused)
    assert value(found, "problems_total", code="overloaded") == len(refused)


@pytest.mark.slow
def test_a_request_is_refused_before_its_body_arrives(tmp_path: Path) -> None:
    body = flat("red")
    whole = PREDICT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    head = PREDICT + b"X-Request-ID: mine\r\nContent-Length: 900000\r\n"
    with (
        StubServing().running() as stub,
        running_gateway(tmp_path, stub.url, GATEWAY_MAX_IN_FLIGHT="1") as url,
    ):
        assert predict(url, body)[0] == 200
        stub.delay_s = 3
        with callers(url, whole, 1):
            assert eventually(lambda: in_flight(url) == 1.0)
            with (
                callers(url, head + b"\r\n", 1) as (without_body,),
                callers(url, head + b"Expect: 100-continue\r\n\r\n", 1) as (expecting,),
                callers(url, head + b"\r\n" + bytes(900_000), 1) as (with_body,),
            ):
                answers = [each.recv(65536) for each in (without_body, expecting, with_body)]

    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"\r\nX-Request-ID: mine\r\n" in answer
        assert b"The limit of 1 prediction requests in flight is reached" in answer
    log = (tmp_path / "gateway.log").read_text()
    assert "requests refused, as the worker had no room for them: " in log
    assert log.count("mine") == 3


@pytest.mark.parametrize(
    ("connections", "queued", "stays"), [(3, 2, True), (3, 3, False), (5, 1, False)]
)
def test_a_thread_waits_for_its_connection_only_if_no_request_waits_for_it(
    connections: int, queued: int, stays: bool
) -> None:
    with connected_worker(connections, queued) as (worker, connection, _):
        assert worker._may_stay(connection) is stays


@contextmanager
def connected_worker(
    connections: int, queued: int
) -> Iterator[tuple[GatewayWorker, Connection, socket.socket]]:
    """Yield a worker with a connection and a listener, which do not run."""
    with ThreadPoolExecutor(1) as pool, socket.create_server(("127.0.0.1", 0)) as listener:
        threads = RequestThreads(pool, 4)
        ours = socket.create_connection(listener.getsockname())
        connection = Connection(Config(), ours, ("127.0.0.1", 1), listener.getsockname())
        connection.pool = threads.health
        threads.queued[threads.health] = queued
        worker = GatewayWorker.__new__(GatewayWorker)
        worker.alive, worker.nr_conns = True, connections
        worker.cfg = Config()
        worker.cfg.set("threads", 4)
        worker._threads = threads
        worker._parting, worker._waiting, worker._sending = {}, {}, {}
        worker._refused = []
        yield worker, connection, listener
        connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET /hea"])
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda worker: worker.murder_keepalived(), "too_slow"),
        (lambda worker: worker.murder_keepalived(force=True), "dropped"),
        (lambda worker: worker._drop_oldest(), "dropped"),
    ],
)
def test_requests_that_the_worker_gives_up_are_counted_once_they_have_begun(
    make_app: MakeApp, sent: bytes, end: Callable[[GatewayWorker], None], reason: str
) -> None:
    app = make_app()
    with connected_worker(1, 0) as (worker, connection, _), selectors.DefaultSelector() as poller:
        worker.wsgi, worker.poller, worker.keepalived_conns = app, poller, deque()
        worker._sweeps_at = connection.timeout = 0.0
        connection.arrival = Arrival(1000, 0.0)
        connection.arrival.feed(sent, time.monotonic() - 100)
        worker._waiting[connection] = None

        end(worker)

        assert not worker._waiting
    found = samples(app.test_client().get("/metrics").text)
    assert value(found, "unhandled_requests_total", reason=reason) == bool(sent)


@needs_prlimit
def test_no_thread_waits_for_its_connection_when_another_cannot_be_accepted() -> None:
    with connected_worker(3, 2) as (worker, connection, listener):
        with descriptors_left(os.getpid(), 0):
            worker.accept(listener)

        assert not worker._may_stay(connection)


@pytest.mark.parametrize(
    ("origins", "allowed"), [(("*",), b"Allow-Origin: *\r\n"), (("http://a",), b"\r\n\r\n{")]
)
def test_the_log_names_what_is_no_http_but_does_not_quote_it(
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    origins: tuple[str, ...],
    allowed: bytes,
) -> None:
    worker = GatewayWorker.__new__(GatewayWorker)
    worker.wsgi = make_app(cors_origins=origins)
    worker.log = logging.getLogger("refusals")
    ours, theirs = socket.socketpair()

    with ours, theirs:
        worker.handle_error(None, ours, ("127.0.0.1", 1), InvalidHeader("X-API-Key secret"))
        answer = theirs.recv(9999)

    assert b"(InvalidHeader)" in answer
    assert allowed in answer
    assert "InvalidHeader" in caplog.text
    assert "secret" not in caplog.text + answer.decode()
