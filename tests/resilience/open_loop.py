"""Send requests on a schedule, whether or not earlier ones have been answered.

Clients that wait for a response before they send the next request slow down with the server, and
so hide its overload. Here each request has a due time; its latency is counted from that time, also
if all connections were taken then. The process has one thread and epoll, so that it keeps its
schedule beside a busy server, and it notes how late it was for each request.

``python -m tests.resilience.open_loop RESULT`` reads a plan from its standard input and writes
arrays of numbers (``tests.resilience.traffic`` runs it and reads them).
"""

from __future__ import annotations

import base64
import gc
import json
import os
import random
import re
import selectors
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.resilience.versions import is_of_one_version

#: Outcomes of a request that has neither a right response nor a problem document.
LOST, WRONG = -1, -2
#: Statuses of refusals, which must say when to try again, and of other problem documents.
REFUSALS, FAILURES = (429, 503), (502, 504)
#: Seconds after which a request without a response counts as lost.
GIVE_UP_S = 60.0
#: Below the connections that a worker of the gateway keeps open.
MAX_CONNECTIONS = 900
_SHOWN = 20
#: Longest wait until the next look at the clock.
_LOOK_S = 0.1
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.I)
_PROBLEM = re.compile(rb"\r\ncontent-type: *application/problem\+json", re.I)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *[1-9]\d*\r\n", re.I)


@dataclass(frozen=True, slots=True)
class Question:
    """The body of a request, and a text that its right response contains.

    With an empty text the response must have version, labels and scores of one version.
    """

    body: bytes
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the schedule; arrivals are independent of each other (a Poisson process)."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent where, and when."""

    port: int
    path: str
    content_type: str
    questions: tuple[Question, ...]
    steps: tuple[Step, ...]
    clients: int = 0
    """Above 0: as many clients wait for each response before they send again (closed loop); the
    rates of the steps do not matter."""

    connections: int = 0
    """Above 0: as many connections are opened at the beginning and used in turn, and a request
    waits for one of them; else further ones are opened as they are needed."""

    most_connections: int = MAX_CONNECTIONS
    """Most connections that are opened as they are needed."""

    seed: int = 20261129

    @property
    def seconds(self) -> float:
        """The time from the begin to the end of the last step."""
        return sum(step.seconds for step in self.steps)

    def to_json(self) -> str:
        fields = asdict(self)
        for question in fields["questions"]:
            question["body"] = base64.b64encode(question["body"]).decode()
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        fields: dict[str, Any] = json.loads(text)
        fields["questions"] = tuple(
            Question(base64.b64decode(each["body"]), each["expected"])
            for each in fields["questions"]
        )
        fields["steps"] = tuple(Step(**each) for each in fields["steps"])
        return cls(**fields)


def schedule(plan: Plan) -> Iterator[float]:
    """Yield the due times of all requests, in seconds after the begin."""
    chance = random.Random(plan.seed)
    begin = 0.0
    for step in plan.steps:
        due = begin
        while (due := due + chance.expovariate(step.rate)) < begin + step.seconds:
            yield due
        begin += step.seconds


class _Exchange:
    """A connection, and the request that is under way on it."""

    __slots__ = ("due", "lag", "question", "received", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.due = self.lag = 0.0
        self.question: Question | None = None
        self.unsent = memoryview(b"")
        self.received = bytearray()


class Engine:
    """Sends the requests of a plan and judges their responses."""

    def __init__(self, plan: Plan) -> None:
        self.rows = array("d")
        """Due time after the begin, lag, latency and outcome of one request after the other."""

        self.faults: list[str] = []
        """The first responses that were wrong, and errors of requests that were lost."""

        self._plan = plan
        self._began = 0.0
        self._requests = cycle([(each, _request(plan, each)) for each in plan.questions])
        self._selector = selectors.DefaultSelector()
        self._idle: deque[_Exchange] = deque()
        self._busy: dict[_Exchange, None] = {}
        self._waiting: deque[tuple[float, float]] = deque()
        """Due time and lag of requests that are due and not under way yet."""

    def run(self, begin: float) -> None:
        """Send everything from a time of the monotonic clock on, and wait for the last response."""
        plan, self._began = self._plan, begin
        most = plan.connections or plan.most_connections
        self._idle.extend(self._connect() for _ in range(plan.connections))
        offsets = iter([0.0] * plan.clients) if plan.clients else schedule(plan)
        arrivals = (begin + offset for offset in offsets)
        due = next(arrivals, None)
        while due is not None or self._busy or self._waiting:
            now = time.monotonic()
            while due is not None and due <= now:
                self._waiting.append((due, now - due))
                due = next(arrivals, None)
            while self._waiting and (self._idle or len(self._busy) < most):
                self._begin(*self._waiting.popleft())
            for key, events in self._selector.select(_wait_s(due)):
                self._go_on(key.data, events)
            self._give_up(time.monotonic())
        for exchange in self._idle:
            exchange.sock.close()

    def _begin(self, due: float, lag: float) -> None:
        exchange = self._idle.popleft() if self._idle else self._connect()
        exchange.due, exchange.lag = due, lag
        exchange.question, request = next(self._requests)
        exchange.unsent = memoryview(request)
        exchange.received.clear()
        self._busy[exchange] = None
        self._send(exchange)

    def _connect(self) -> _Exchange:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", self._plan.port))
        exchange = _Exchange(sock)
        self._selector.register(sock, selectors.EVENT_READ, exchange)
        return exchange

    def _send(self, exchange: _Exchange) -> None:
        """Send as much as the server takes; the rest when it takes more."""
        try:
            exchange.unsent = exchange.unsent[exchange.sock.send(exchange.unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(exchange, repr(error))
            return
        wanted = selectors.EVENT_READ
        if exchange.unsent:
            wanted |= selectors.EVENT_WRITE
        if self._selector.get_key(exchange.sock).events != wanted:
            self._selector.modify(exchange.sock, wanted, exchange)

    def _go_on(self, exchange: _Exchange, events: int) -> None:
        if events & selectors.EVENT_READ:
            self._receive(exchange)
        else:
            self._send(exchange)

    def _receive(self, exchange: _Exchange) -> None:
        try:
            data = exchange.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(exchange, repr(error))
            return
        if not data:
            self._end(exchange, f"closed after {len(exchange.received)} bytes")
            return
        exchange.received += data
        found = parsed(exchange.received)
        if found is not None:
            self._finish(exchange, *found)

    def _finish(self, exchange: _Exchange, head: bytes, body: bytes) -> None:
        assert exchange.question is not None
        self._note(exchange, *outcome_of(head, body, exchange.question))
        if exchange.unsent or _CLOSES.search(head):
            self._close(exchange)
        else:
            self._idle.append(exchange)

    def _end(self, exchange: _Exchange, fault: str) -> None:
        """Close a connection that broke; the request that was under way on it is lost."""
        if exchange in self._busy:
            self._note(exchange, LOST, fault)
        else:
            self._idle.remove(exchange)
        self._close(exchange)

    def _note(self, exchange: _Exchange, outcome: int, fault: str) -> None:
        now = time.monotonic()
        due = exchange.due - self._began
        self.rows.extend((due, exchange.lag, now - exchange.due, outcome))
        if fault and len(self.faults) < _SHOWN:
            self.faults.append(fault)
        del self._busy[exchange]
        if self._plan.clients and now < self._began + self._plan.seconds:
            self._waiting.append((now, 0.0))

    def _close(self, exchange: _Exchange) -> None:
        self._selector.unregister(exchange.sock)
        exchange.sock.close()

    def _give_up(self, now: float) -> None:
        """Lose the request that has been under way longest, if that is too long."""
        oldest = next(iter(self._busy), None)
        if oldest is not None and now - oldest.due > GIVE_UP_S:
            self._end(oldest, f"no response after {GIVE_UP_S:g} s")


def _wait_s(due: float | None) -> float:
    return _LOOK_S if due is None else min(_LOOK_S, max(0.0, due - time.monotonic()))


def _request(plan: Plan, question: Question) -> bytes:
    lines = (
        f"POST {plan.path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {plan.content_type}",
        f"Content-Length: {len(question.body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + question.body


def parsed(received: bytearray) -> tuple[bytes, bytes] | None:
    """Return head and body of a response, None until it is whole."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[: end + 2])
    length = _LENGTH.search(head)
    body = received[end + 4 :]
    if length is None or len(body) < int(length.group(1)):
        return None
    return head, bytes(body)


def outcome_of(head: bytes, body: bytes, question: Question) -> tuple[int, str]:
    """Return the status of a response, or ``WRONG`` and what is wrong with it."""
    status = int(head[9:12]) if head[9:12].isdigit() else 0
    if status == 200:
        text = question.expected
        is_good = text.encode() in body if text else is_of_one_version(json.loads(body))
    elif status in REFUSALS:
        is_good = bool(_PROBLEM.search(head) and _RETRY_AFTER.search(head))
    else:
        is_good = bool(_PROBLEM.search(head)) and status in FAILURES
    return (status, "") if is_good else (WRONG, f"{head!r} {body[:200]!r}")


def main(result: Path) -> None:
    """Carry out the plan of the first line of the standard input; the second one is the begin."""
    with suppress(PermissionError):  # clients have their own machine, mostly
        os.setpriority(os.PRIO_PROCESS, 0, -5)
    engine = Engine(Plan.from_json(sys.stdin.readline()))
    gc.disable()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    engine.run(float(sys.stdin.readline()))
    result.write_bytes(engine.rows.tobytes())
    sys.stdout.write(json.dumps(engine.faults))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
