"""The sender keeps its schedule whatever the server does, and judges each response."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.listening import listening
from tests.resilience import traffic
from tests.resilience.open_loop import (
    LOST,
    MAX_CONNECTIONS,
    WRONG,
    Engine,
    Plan,
    Question,
    Step,
    outcome_of,
    parsed,
    schedule,
)
from tests.resilience.traffic import Traffic

PROBLEM = b"\r\nContent-Type: application/problem+json\r\n"
QUESTION = Question(b"picture", "cat")


def plan(port: int = 0, *steps: Step, clients: int = 0) -> Plan:
    return Plan(port, "/predict", "image/png", (QUESTION,), steps, clients)


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            assert self.rfile.read(len(QUESTION.body)) == QUESTION.body
            self.server.wait()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ncat")


class _Server(socketserver.ThreadingTCPServer):
    """Answers nothing until it has received some requests."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, first: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.first, self.waiting, self.most = first, 0, 0
        self._changed = threading.Condition()
        self._is_open = False

    def wait(self) -> None:
        """Wait until the first requests are there; afterwards take a moment."""
        with self._changed:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            self._is_open = self._is_open or self.waiting >= self.first
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_open)
        time.sleep(0.001)
        with self._changed:
            self.waiting -= 1


@contextmanager
def server(first: int = 0) -> Iterator[_Server]:
    """A server that answers once the first requests are there."""
    found = _Server(first)
    with listening(found):
        yield found


def run(made: Plan) -> Traffic:
    engine = Engine(made)
    engine.run(time.monotonic())
    return traffic.read(engine.rows.tobytes(), engine.faults)


def test_requests_are_sent_though_none_is_answered() -> None:
    steps = Step(300, 0.1)
    count = len(list(schedule(plan(0, steps))))
    with server(first=count) as found:
        sent = run(plan(found.server_address[1], steps))

    assert sent.counts() == {200: count}
    assert found.most == count > 10


def test_clients_of_a_closed_loop_wait_for_each_response() -> None:
    with server() as found:
        sent = run(plan(found.server_address[1], Step(1, 0.5), clients=3))

    assert sent.counts() == {200: len(sent)}
    assert found.most <= 3 < len(sent)


def test_requests_wait_for_one_of_a_fixed_number_of_connections() -> None:
    steps = Step(300, 0.1)
    with server() as found:
        sent = run(replace(plan(found.server_address[1], steps), connections=2))

    assert sent.counts() == {200: len(sent)}
    assert found.most <= 2 < len(sent)


def test_a_server_that_is_not_there_loses_every_request() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # so that nobody else listens there
        sent = run(plan(silent.getsockname()[1], Step(100, 0.1)))

    assert set(sent.counts()) == {LOST}
    assert "refused" in sent.faults[0]
    assert sent.bad[0] == f"{len(sent)} lost or wrong"


def test_the_schedule_is_that_of_its_seed_and_has_the_rates_of_its_steps() -> None:
    made = plan(0, Step(1000, 10), Step(100, 10))
    due = list(schedule(made))

    assert due == list(schedule(Plan.from_json(made.to_json())))
    assert due == sorted(due)
    first = sum(each < 10 for each in due)
    assert first == pytest.approx(10_000, rel=0.1)
    assert len(due) - first == pytest.approx(1000, rel=0.2)


@pytest.mark.parametrize(
    ("head", "body", "outcome"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", b'"cat"', 200, id="right"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b'"dog"', WRONG, id="another class"),
        pytest.param(b"HTTP/1.1 503 x" + PROBLEM + b"Retry-After: 1\r\n", b"", 503, id="refusal"),
        pytest.param(b"HTTP/1.1 429 x" + PROBLEM + b"Retry-After: 1\r\n", b"", 429, id="quota"),
        pytest.param(b"HTTP/1.1 503 x" + PROBLEM, b"", WRONG, id="refusal without a time"),
        pytest.param(b"HTTP/1.1 503 x\r\nRetry-After: 1\r\n", b"", WRONG, id="no document"),
        pytest.param(b"HTTP/1.1 504 x" + PROBLEM, b"", 504, id="deadline"),
        pytest.param(b"HTTP/1.1 500 x" + PROBLEM, b"", WRONG, id="defect"),
        pytest.param(b"nonsense\r\n", b"", WRONG, id="no HTTP"),
    ],
)
def test_a_response_is_judged_by_status_headers_and_content(
    head: bytes, body: bytes, outcome: int
) -> None:
    found, fault = outcome_of(head, body, QUESTION)

    assert found == outcome
    assert bool(fault) == (outcome == WRONG)


def test_a_response_is_whole_with_its_last_byte() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ncat"

    assert parsed(bytearray(response)) == (response[:-5], b"cat")
    assert all(parsed(bytearray(response[:end])) is None for end in range(len(response)))


def test_the_work_of_a_fast_plan_is_divided() -> None:
    made = replace(plan(0, Step(4000, 1)), connections=32)
    parts = [traffic.part(made, number, traffic.processes(made)) for number in range(3)]

    assert sum(part.steps[0].rate for part in parts) == 4000
    assert len({part.seed for part in parts}) == 3
    assert [part.connections for part in parts] == [10, 11, 11]
    assert sum(part.most_connections for part in parts) == MAX_CONNECTIONS


def test_no_process_has_a_plan_without_a_connection() -> None:
    assert traffic.processes(replace(plan(0, Step(4000, 1)), connections=2)) == 2
