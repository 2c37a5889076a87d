"""Callers that stop, or nearly so, at every point of a request and its answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from tests.attack.catalogue import Attack, Form, Target, connect, crowd, reset

_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_EXPECT = b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
#: Bytes by which a connection may begin before it stops.
BEGINNINGS: dict[str, Callable[[Target], bytes]] = {
    "nothing": lambda _: b"",
    "half a request line": lambda _: b"GET /hea",
    "half a head": lambda target: target.predict_head,
    "half a body": lambda target: target.predict_head + b"Content-Length: 1000\r\n\r\nabc",
    "half a chunk": lambda target: target.predict_head + _CHUNKED + b"5\r\nabc",
    "half a chunk's size": lambda target: target.predict_head + _CHUNKED + b"1000",
    "no trailer": lambda target: target.predict_head + _CHUNKED + b"1\r\na\r\n0\r\nX: y\r\n",
    "waits for 100 Continue": lambda target: target.predict_head + _EXPECT,
    "idle after an answer": lambda target: target.get,
    "half a request after an answer": lambda target: target.get + b"GET /hea",
    "not closed after Connection: close": lambda target: (
        target.predict_head + b"Connection: close\r\n\r\n"
    ),
}
#: Those with a whole request, whose answer comes before the connection stops.
ANSWERED = {
    "idle after an answer",
    "half a request after an answer",
    "not closed after Connection: close",
}
#: Connections that begin at once: more whole requests could fill the queue of a busy gateway.
_AT_ONCE = 16
#: Beginnings that go on with a byte each second, and that byte.
DRIPS = {
    "half a request line": b"l",
    "half a head": b"a",
    "half a body": b"x",
    "half a chunk's size": b"0",
    "half a request after an answer": b"l",
}
_DRIP_S = 1.0
_PIPELINED = 50


def stops(beginning: str) -> Attack:
    """Many connections that send so much and no more."""

    def run(target: Target, form: Form) -> None:
        with crowd(target, form.callers) as connections:
            for first in range(0, form.callers, _AT_ONCE):
                _begin(connections[first : first + _AT_ONCE], target, beginning)
            time.sleep(form.hold_s)

    return Attack(f"stops: {beginning}", run)


def _begin(connections: Sequence[socket.socket], target: Target, beginning: str) -> None:
    for connection in connections:
        connection.sendall(BEGINNINGS[beginning](target))
    for connection in connections if beginning in ANSWERED else ():
        assert connection.recv(65536)


def drip(target: Target, form: Form) -> None:
    """Connections in every state that send a byte each second."""
    names = list(DRIPS) * (form.callers // len(DRIPS))
    with crowd(target, len(names)) as connections:
        pairs = list(zip(names, connections, strict=True))
        for name, connection in pairs:
            connection.sendall(BEGINNINGS[name](target))
        end = time.monotonic() + max(form.hold_s, 2 * _DRIP_S)
        while time.monotonic() < end:
            time.sleep(_DRIP_S)
            for name, connection in pairs:
                with suppress(OSError):  # the server has had enough
                    connection.sendall(DRIPS[name])


def do_not_read(target: Target, form: Form, least_s: float = 0.0) -> None:
    """Ask for far more than fits into the buffers of a connection, and take nothing of it."""
    with ExitStack() as stack:
        for _ in range(form.callers):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", target.port))
            connection.settimeout(0.01)
            with suppress(OSError):
                connection.sendall(target.large * _PIPELINED)
        time.sleep(max(form.hold_s, least_s))


def come_and_go(target: Target, form: Form) -> None:
    """Open and close connections as fast as possible, in every state."""
    for number in range(form.rounds):
        for name, beginning in BEGINNINGS.items():
            for _ in range(form.callers // len(BEGINNINGS)):
                connection = connect(target)
                connection.sendall(beginning(target))
                if (number + len(name)) % 2:
                    reset(connection)
                connection.close()


def leave_before_the_answer(target: Target, form: Form) -> None:
    """Send whole predictions and go away at once."""
    for _ in range(form.rounds):
        with crowd(target, 20) as connections:
            for connection in connections:
                connection.sendall(target.predict)
                reset(connection)


ATTACKS = (
    *(stops(beginning) for beginning in BEGINNINGS),
    Attack("a byte each second", drip),
    Attack("come and go", come_and_go),
    Attack("leave before the answer", leave_before_the_answer),
)
MODEL_SERVER = (*ATTACKS, Attack("the answer is not read", do_not_read))
#: So many requests at once may fill the queue of the gateway, which then refuses some.
GATEWAY = (
    *ATTACKS,
    Attack(
        "the answer is not read",
        partial(do_not_read, least_s=5),
        may_refuse=True,
    ),
)
