"""What an attack is, how long it goes on, and how it talks to its target."""

from __future__ import annotations

import http.client
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tests.attack.good_caller import GoodCaller
from tests.attack.usage import Usage


@dataclass(frozen=True, slots=True)
class Form:
    """How long and how often."""

    name: str
    callers: int
    """Connections of one attack."""

    hold_s: float
    rounds: int
    """Repetitions of an attack that consists of whole requests."""

    mutations: int
    document_bytes: int
    """Size of a costly document for the model server, which parses some of them in Python."""

    slowest_s: float
    """Longest time in which a good caller must be answered."""

    attempts: int
    """How often an attack is made until good callers are answered in this time."""

    kept_mb: float
    """Memory that a server may keep after one attack; after all of them it is less."""


#: The machines of continuous integration are shared, and a neighbour may hold a processor for
#: seconds: the quick form finds servers that stop answering, the long one those that get slow.
#: A server that is too slow is so each time, which tells it from one with such a neighbour.
#: The quick form does not wait after each attack until freed memory has been given back.
QUICK = Form(
    name="quick",
    callers=120,
    hold_s=0.3,
    rounds=1,
    mutations=300,
    document_bytes=500_000,
    slowest_s=5.0,
    attempts=3,
    kept_mb=500,
)
LONG = Form(
    name="long",
    callers=600,
    hold_s=25.0,
    rounds=10,
    mutations=20_000,
    document_bytes=2_000_000,
    slowest_s=1.0,
    attempts=1,
    kept_mb=100,
)
FORM = LONG if os.environ.get("ATTACK") == "long" else QUICK
SEED = int(os.environ.get("ATTACK_SEED", "20261128"))

#: A client that sends and never reads would wait here for ever.
_SEND_S = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A running server, with requests that it understands."""

    port: int
    pid: int
    """Its first process; all others descend from it."""

    pids: tuple[int, ...]
    """Processes that must live as long as the server."""

    caller: GoodCaller
    before: Usage
    predict_path: str
    predict_kind: str
    predict_body: bytes
    get_path: str
    large: bytes
    """A whole request whose answer is large."""

    @property
    def predict_head(self) -> bytes:
        """The head of a prediction, to which headers and a blank line may be added."""
        return head(self.predict_path, f"Content-Type: {self.predict_kind}")

    @property
    def predict(self) -> bytes:
        """A whole prediction."""
        length = b"Content-Length: %d\r\n\r\n" % len(self.predict_body)
        return self.predict_head + length + self.predict_body

    @property
    def get(self) -> bytes:
        """A whole request without a body; headers cannot be added."""
        return f"GET {self.get_path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Attack:
    """One row: what is done, and what the target may do meanwhile."""

    name: str
    run: Callable[[Target, Form], None]
    may_refuse: bool = False
    """A good caller may be refused with 503, since the attack takes all memory that is allowed."""

    most_mb: float = 600.0
    """Largest growth of resident memory meanwhile, of all processes of the server together."""


def head(path: str, *headers: str) -> bytes:
    """A request line of POST and headers, each with the end of its line."""
    return "".join(
        f"{line}\r\n" for line in (f"POST {path} HTTP/1.1", "Host: x", *headers)
    ).encode()


def connect(target: Target) -> socket.socket:
    return socket.create_connection(("127.0.0.1", target.port), _SEND_S)


@contextmanager
def crowd(target: Target, count: int) -> Iterator[list[socket.socket]]:
    """Many open connections."""
    with ExitStack() as stack:
        yield [stack.enter_context(connect(target)) for _ in range(count)]


def reset(connection: socket.socket) -> None:
    """Break the connection off, without the usual farewell."""
    linger = struct.pack("ii", 1, 0)
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


#: Bytes of a request of which one at a time is sent.
LARGE = 8_000_000


def status_of(target: Target, request: bytes) -> int:
    """Send a request and return the status of the first answer; 0 where there is none.

    The sending end is closed, so a server that waits for more bytes gives up at once.
    """
    with connect(target) as connection:
        with suppress(OSError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        return answer.status


def statuses(target: Target, request: bytes, count: int) -> set[int]:
    """Send a request several times at once; return the statuses of the answers."""
    with ThreadPoolExecutor(count) as pool:
        return set(pool.map(lambda _: status_of(target, request), range(count)))


def repeated(
    request: Callable[[Target, Form], bytes], allowed: Collection[int], at_once: int = 3
) -> Callable[[Target, Form], None]:
    """An attack that sends a request again and again, and allows some statuses only."""

    def run(target: Target, form: Form) -> None:
        made = request(target, form)
        # Two of the largest bodies take all of a gateway's memory budget, so others get a 503.
        count = 1 if len(made) > LARGE else at_once
        for _ in range(form.rounds):
            others = statuses(target, made, count) - set(allowed)
            assert not others, f"answered with {sorted(others)}; allowed are {sorted(allowed)}"

    return run
