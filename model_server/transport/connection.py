"""A client's connection: its socket, what has arrived, and what is still to be sent."""

from __future__ import annotations

import enum
import socket
from contextlib import suppress
from time import monotonic
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.transport.http_messages import Response, write_response
from model_server.transport.request_reader import Arrival, RequestReader

#: Idle connections are closed after this time. It is long because HTTP clients pool connections.
IDLE_S: Final = 900.0
#: Seconds that a request or a response may take, however small it is ...
TRANSFER_S: Final = 20.0
#: ... and the bytes per second that it must reach beyond that time.
MIN_BYTES_PER_S: Final = 10_000
#: How long a closing connection is read, so that the client receives the response before a reset.
CLOSING_S: Final = 5.0
#: A thread waits this long for one connection before the event loop watches it instead.
_SOCKET_TIMEOUT_S: Final = 0.01
#: A thread sends a response for this long before the event loop sends the rest.
SEND_S: Final = 0.1
_SEND_BYTES: Final = 1 << 20


class State(enum.Enum):
    """What the event loop waits for; a connection whose request is being handled has no state."""

    CLOSING = enum.auto()
    """The client shall close it; everything has been sent."""

    IDLE = enum.auto()
    ARRIVING = enum.auto()
    SENDING = enum.auto()


class Connection:
    """A connection. Either the event loop or one thread uses it at a time."""

    def __init__(self, sock: socket.socket, max_body_bytes: int, budget: ByteBudget) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(_SOCKET_TIMEOUT_S)
        self.sock = sock
        self.reader = RequestReader(max_body_bytes)
        self.pending: Arrival | None = None
        """A request that a thread has read but leaves to others."""

        self.state: State | None = None
        self.since = 0.0
        """When the state began."""

        self.in_progress = False
        """Whether a request has been handed to a thread and its response has not been sent."""

        self._budget = budget
        self._counted = 0
        self._moved = 0
        """Bytes that were received or sent in this state."""

        self._output = memoryview(b"")
        self._stays = True

    def set_state(self, state: State | None, now: float) -> None:
        """Change the state."""
        self.state, self.since, self._moved = state, now, 0

    def deadline(self) -> float:
        """Return when the state must have ended."""
        if self.state is State.IDLE:
            return self.since + IDLE_S
        if self.state is State.CLOSING:
            return self.since + CLOSING_S
        return self.since + TRANSFER_S + self._moved / MIN_BYTES_PER_S

    def receive(self) -> bytes | None:
        """Return bytes from the client, ``b""`` at the end, None if none come soon."""
        try:
            data = self.sock.recv(self.reader.wanted)
        except TimeoutError:
            return None
        except OSError:
            return b""
        self._moved += len(data)
        return data

    def take(self, data: bytes) -> bool:
        """Keep received bytes for the next request; False if the budget has no room for them."""
        if not self._budget.take(len(data)):
            return False
        self._counted += len(data)
        self.reader.feed(data)
        return True

    def take_anyway(self, data: bytes) -> None:
        """Keep received bytes even if the budget has no room for them."""
        self._budget.add(len(data))
        self._counted += len(data)
        self.reader.feed(data)

    def next_arrival(self) -> Arrival | None:
        """Return the next request that has arrived, and permit a body that waits for that."""
        pending, self.pending = self.pending, None
        arrival = pending or self.reader.next()
        if arrival is None and self.reader.take_expectation():
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n", stays=True)
        return arrival

    def respond(self, arrival: Arrival, response: Response) -> bool:
        """Send a response; False if the event loop must send the rest of it."""
        data, stays = write_response(response, arrival.head)
        return self.write(data, stays=stays)

    def write(self, data: bytes, *, stays: bool) -> bool:
        """Send bytes as far as they are taken soon; tell whether all have been sent."""
        self._output, self._stays = memoryview(data), stays
        return self.send()

    def send(self, *, for_s: float = SEND_S) -> bool:
        """Send for about so long as the client reads; tell whether nothing is left."""
        try:
            self._send_once()
            if self._output:
                end = monotonic() + for_s
                while self._output and monotonic() < end:
                    self._send_once()
        except TimeoutError:
            return False
        except OSError:
            self._output, self._stays = memoryview(b""), False
        return not self._output

    def _send_once(self) -> None:
        sent = self.sock.send(self._output[:_SEND_BYTES])
        self._moved += sent
        self._output = self._output[sent:]

    @property
    def has_output(self) -> bool:
        """Tell whether a part of a response is left to send."""
        return bool(self._output)

    def abandon(self) -> None:
        """Give up the response, so that the connection is closed."""
        self._output, self._stays = memoryview(b""), False

    def finish_response(self) -> bool:
        """Forget the request and its response; tell whether the connection stays open."""
        self._output = memoryview(b"")
        self._recount(self.reader.size)
        return self._stays

    def count_output(self) -> None:
        """Count what is left to send instead of the request, which is no longer needed."""
        self._recount(self.reader.size + len(self._output))

    def forget_arrived(self) -> None:
        """Drop what has arrived."""
        self.reader = RequestReader(0)
        self._recount(0)

    def half_close(self) -> None:
        """Say that nothing more will be sent, and drop what has arrived."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.forget_arrived()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
        self._output = memoryview(b"")
        self._recount(0)

    def _recount(self, size: int) -> None:
        if size != self._counted:
            self._budget.add(size - self._counted)
            self._counted = size
