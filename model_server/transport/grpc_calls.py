"""Calls and methods as the handlers of the gRPC API see them, without grpc's types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum


class Pool(Enum):
    """The kinds of methods; each has threads of its own."""

    RUN = "run"
    SHORT = "short"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose message has arrived."""

    message: bytes

    timeout_s: float
    """The time that is left of the client's deadline; infinity without one."""

    is_active: Callable[[], bool]
    """Whether the client still waits for the response."""

    reserve: Callable[[int], None]
    """Counts memory that the call takes until it is over, or raises Unavailable."""

    send_trailer: Callable[[str, str], None]
    """Sends a key and an ASCII value as trailing metadata of the response."""

    metadata: Callable[[], Iterable[tuple[str, str | bytes]]] = tuple
    """Returns the names and values that the client sent beside the message."""


#: Returns the response, or raises a ModelServerError.
Handler = Callable[[Call], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A call that is answered again and again."""

    message: bytes
    send: Callable[[bytes], None]
    """Sends a response."""

    end: Callable[[], None]
    """Ends the call."""

    when_over: Callable[[Callable[[], None]], bool]
    """Takes a function to call when the call is over; false if it is over already."""


Watcher = Callable[[Stream], None]


@dataclass(frozen=True, slots=True)
class Method:
    """A method with one response, or with a stream of responses if it has a watcher."""

    handler: Handler | None = None
    pool: Pool = Pool.RUN
    watcher: Watcher | None = None
