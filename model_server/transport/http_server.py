"""Listen on a port, read HTTP requests and send the responses of a handler.

One thread, the event loop, accepts connections and reads requests; a request is handed to another
thread when its last byte has arrived. So connections that are idle, slow or broken hold no thread.
At most ``threads`` POST requests are handled at once; the others wait. Costly ones have few threads
of their own, so that they leave the others to requests that are answered soon. So have other
methods, so that a busy server still says what it serves.

What clients can make the server hold is limited: the size of a body, the bytes of all connections
together, the number of connections, and the time that a request or a response may take.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.transport.connection import Connection, State
from model_server.transport.descriptors import max_connections
from model_server.transport.http_messages import Request, Response, error_response
from model_server.transport.request_reader import Arrival
from model_server.transport.worker_pool import NoThread, WorkerPool

Handler = Callable[[Request], Response]
CostCheck = Callable[[Request], bool]

MAX_BODY_BYTES: Final = 256 << 20
MAX_TOTAL_BYTES: Final = 512 << 20

#: Pause before the next accept when the process has no file descriptor left.
_ACCEPT_PAUSE_S: Final = 0.1
_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
_TICK_S: Final = 0.5
#: Most connections accepted before the others are served again.
_ACCEPTS: Final = 64
#: Maximum number of connections that wait to be accepted, the same as Linux's own default
#: (net.core.somaxconn); beyond, clients try again after a second.
_BACKLOG: Final = 4096
#: Threads for requests that run no model.
SHORT_THREADS: Final = 2
#: One thread for costly requests for so many threads for others.
_THREADS_PER_COSTLY: Final = 4
#: Requests with larger bodies let smaller ones go first.
LARGE_BYTES: Final = 1 << 14
#: A waiting request with a large body counts as if it had arrived so much later.
_LARGE_DELAY_S: Final = 2.0
#: A thread stays with a connection for this long after a response if it has nothing else to do.
_LINGER_S: Final = 0.02
#: While it stops, the server still answers what idle connections send within this time.
_FAREWELL_S: Final = 0.3
#: A request that has been arriving for longer gives way when memory is short.
_SLOW_S: Final = 5.0

logger = logging.getLogger(__name__)

Job = tuple[Connection, Arrival, "WorkerPool[Job]"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the server holds at most for its clients."""

    max_body_bytes: int = MAX_BODY_BYTES
    """Size of the largest request body."""

    connections: int | None = None
    """Number of connections; None derives it from the process's limit of file descriptors."""


class HttpServer:
    """An HTTP server that calls one handler for every request."""

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        *,
        threads: int,
        limits: Limits | None = None,
        budget: ByteBudget | None = None,
        is_costly: CostCheck = lambda _: False,
    ) -> None:
        self._handler = handler
        self._is_costly = is_costly
        self._limits = limits or Limits()
        self._budget = budget or ByteBudget(MAX_TOTAL_BYTES)
        self._listener = _listening_socket(host, port)
        self._address = self._listener.getsockname()
        self._max_connections = self._limits.connections or max_connections()
        self._connections: set[Connection] = set()
        #: The connections of each state, the oldest first.
        self._waiting: dict[State, dict[Connection, None]] = {state: {} for state in State}
        self._returned: deque[Connection] = deque()
        self._runs = WorkerPool[Job](threads, self._work, "http-run")
        self._costly = WorkerPool[Job](costly_threads(threads), self._work, "http-costly")
        self._short = WorkerPool[Job](SHORT_THREADS, self._work, "http")
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._is_woken = False
        self._accepts_at: float | None = 0.0
        """When connections are accepted again; None while they are accepted."""

        self._looks_at = 0.0
        """When connections that are overdue are looked for again."""

        self._changed = threading.Condition()
        self._in_progress = 0
        self._is_draining = False
        self._farewell_until = 0.0
        self._is_drained = False

    @property
    def port(self) -> int:
        """The port that the server listens on, also if port 0 was asked for."""
        return int(self._address[1])

    @property
    def in_progress(self) -> int:
        """The number of requests that are being answered."""
        return self._in_progress

    def drain(self, grace_s: float) -> bool:
        """Stop listening and wait for open responses; False if ``grace_s`` was too short.

        Idle connections may send one more request, which is answered with ``Connection: close``.
        """
        with self._changed:
            if not self._is_draining:
                self._farewell_until = monotonic() + min(_FAREWELL_S, grace_s)
                self._is_draining = True
        self._wake()
        with self._changed:
            return self._changed.wait_for(lambda: self._is_drained, grace_s + _FAREWELL_S)

    def serve_forever(self) -> None:
        """Accept and read connections until the server is drained."""
        for sock in (self._wake_in, self._wake_out):
            sock.setblocking(False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)
        try:
            while not self._is_drained:
                self._turn_or_pause()
        finally:
            self._shut()

    # The event loop: everything below runs in its thread, up to the next such line.

    def _turn_or_pause(self) -> None:
        """Serve events once; without memory for that, wait until there may be some again."""
        try:
            self._turn()
        except MemoryError:
            sleep(_ACCEPT_PAUSE_S)

    def _turn(self) -> None:
        """Wait for events and serve them once."""
        self._update_listening()
        tick = _ACCEPT_PAUSE_S if self._accepts_at is not None or self._is_draining else _TICK_S
        for key, _ in self._selector.select(tick):
            if key.fileobj is self._listener:
                self._accept()
            elif key.data is None:
                self._take_wake_up()
            elif key.data.state is not None:  # it may have been closed in this turn
                self._guarded(self._serve_event, key.data)
        while self._returned:
            self._guarded(self._take_back, self._returned.popleft())
        self._drop_overdue()
        if self._is_draining:
            self._say_farewell()

    def _take_wake_up(self) -> None:
        """Take the byte of ``_wake``; only then may the next one be sent, or it would be lost."""
        with suppress(OSError):
            self._wake_out.recv(4096)
        self._is_woken = False

    def _guarded(self, work: Callable[[Connection], None], connection: Connection) -> None:
        """Serve a connection; an unexpected error ends only this one."""
        try:
            work(connection)
        except MemoryError:
            self._drop_arriving(connection)
        except Exception:
            logger.exception("Unexpected error; the connection is closed")
            self._close(connection)

    def _drop_arriving(self, connection: Connection) -> None:
        """Refuse a request that there is no memory for, or close its connection."""
        try:
            if connection.state in (State.IDLE, State.ARRIVING):
                connection.forget_arrived()
                self._refuse(connection, _no_memory_left())
            else:
                self._close(connection)
        except MemoryError:
            self._close(connection)

    def _update_listening(self) -> None:
        if self._accepts_at is None or self._is_draining or monotonic() < self._accepts_at:
            return
        if len(self._connections) < self._max_connections or self._has_droppable:
            self._selector.register(self._listener, selectors.EVENT_READ, None)
            self._accepts_at = None

    def _pause_listening(self) -> None:
        if self._accepts_at is None:
            self._selector.unregister(self._listener)
        self._accepts_at = monotonic() + _ACCEPT_PAUSE_S

    def _accept(self) -> bool:
        """Accept the connections that wait; tell whether there may be more."""
        for _ in range(_ACCEPTS):
            is_full = len(self._connections) >= self._max_connections
            if is_full and not self._has_droppable:
                self._pause_listening()
                return False
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR and not self._drop_oldest():
                    self._pause_listening()
                return False
                continue
            if is_full:
                self._drop_oldest()
            self._admit(sock)
        return True

    def _admit(self, sock: socket.socket) -> None:
        connection = Connection(sock, self._limits.max_body_bytes, self._budget)
        self._connections.add(connection)
        self._guarded(lambda admitted: self._watch(admitted, State.IDLE), connection)

    @property
    def _has_droppable(self) -> bool:
        return any(self._waiting.values())

    def _drop_oldest(self) -> bool:
        """Close the connection that has waited for longest; tell whether there was one."""
        oldest = [next(iter(connections)) for connections in self._waiting.values() if connections]
        if not oldest:
            return False
        self._close(min(oldest, key=lambda connection: connection.since))
        return True

    def _watch(self, connection: Connection, state: State) -> None:
        """Let the event loop wait for a connection."""
        events = selectors.EVENT_WRITE if state is State.SENDING else selectors.EVENT_READ
        if connection.state is None:
            self._selector.register(connection.sock, events, connection)
        else:
            del self._waiting[connection.state][connection]
            if State.SENDING in (connection.state, state):
                self._selector.modify(connection.sock, events, connection)
        connection.set_state(state, monotonic())
        self._waiting[state][connection] = None

    def _release(self, connection: Connection) -> None:
        """Stop waiting for a connection."""
        if connection.state is not None:
            self._selector.unregister(connection.sock)
            self._waiting[connection.state].pop(connection, None)
            connection.set_state(None, monotonic())

    def _close(self, connection: Connection) -> None:
        self._release(connection)
        self._connections.discard(connection)
        connection.close()
        self._leave_progress(connection)

    def _serve_event(self, connection: Connection) -> None:
        if connection.state is State.SENDING:
            if connection.send(for_s=0):
                self._finish(connection)
            return
        data = connection.receive()
        if data == b"":
            self._close(connection)
        elif data is not None and connection.state is not State.CLOSING:
            self._feed(connection, data)

    def _feed(self, connection: Connection, data: bytes) -> None:
        if not connection.take(data):
            if not self._refuse_slowest(connection):
                return self._refuse(connection, no_memory())
            connection.take_anyway(data)
        return self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        """Hand the next complete request of a connection to a thread, or wait for more of it."""
        arrival = connection.next_arrival()
        if arrival is None:
            state = State.ARRIVING if connection.reader.has_begun else State.IDLE
            if connection.state is not state:
                self._watch(connection, state)
        elif isinstance(arrival.content, Response):
            self._refuse(connection, arrival.content, arrival)
        else:
            self._release(connection)
            self._submit(connection, arrival)

    def _refuse_slowest(self, newest: Connection) -> bool:
        """Refuse the request that has been arriving for longest, if it is slow."""
        slowest = next(iter(self._waiting[State.ARRIVING]), newest)
        if slowest is newest or monotonic() - slowest.since < _SLOW_S:
            return False
        self._refuse(slowest, no_memory())
        return True

    def _refuse(
        self, connection: Connection, response: Response, arrival: Arrival | None = None
    ) -> None:
        """Send a response to a request that is not read further, and close the connection."""
        arrival = arrival or Arrival(None, response)
        if connection.respond(arrival, response):
            self._finish(connection)
        else:
            self._watch(connection, State.SENDING)

    def _finish(self, connection: Connection) -> None:
        """Go on after a response: with the next request, or with the end of the connection."""
        self._leave_progress(connection)
        if connection.finish_response():
            self._advance(connection)
        else:
            connection.half_close()
            self._watch(connection, State.CLOSING)

    def _take_back(self, connection: Connection) -> None:
        """Take over a connection that a thread has returned."""
        if connection.has_output:
            connection.count_output()
            self._watch(connection, State.SENDING)
        else:
            self._finish(connection)

    def _drop_overdue(self) -> None:
        now = monotonic()
        if now < self._looks_at:
            return
        self._looks_at = now + _TICK_S
        for connection in list(self._overdue(now)):
            if connection.state is State.ARRIVING:
                self._refuse(connection, _too_slow())
            else:
                self._close(connection)

    def _overdue(self, now: float) -> Iterator[Connection]:
        for state, connections in self._waiting.items():
            for connection in connections:
                if connection.deadline() <= now:
                    yield connection
                elif state in (State.IDLE, State.CLOSING):
                    break  # the others are younger

    def _say_farewell(self) -> None:
        """Stop listening, close what is idle, and notice when nothing is left to do."""
        if self._listener.fileno() >= 0:
            for _ in range(_BACKLOG // _ACCEPTS):  # what has been waiting
                if not self._accept():
                    break
            self._pause_listening()
            self._listener.close()
        if monotonic() >= self._farewell_until:
            for state in (State.IDLE, State.ARRIVING):
                for connection in list(self._waiting[state]):
                    connection.half_close()
                    self._watch(connection, State.CLOSING)
        is_over = monotonic() >= self._farewell_until + _FAREWELL_S
        with self._changed:
            if not self._in_progress and (is_over or not self._connections):
                self._is_drained = True
                self._changed.notify_all()

    def _shut(self) -> None:
        for connection in list(self._connections):
            if connection.state is not None:
                self._close(connection)
        for sock in (self._listener, self._wake_in, self._wake_out):
            sock.close()
        self._selector.close()
        for pool in (self._runs, self._costly, self._short):
            pool.stop()

    def _submit(self, connection: Connection, arrival: Arrival) -> None:
        self._enter_progress(connection)
        pool = self._pool(arrival)
        try:
            pool.submit((connection, arrival, pool), _rank(arrival))
        except NoThread:
            self._refuse(connection, _no_thread(), arrival)

    # The threads: everything below runs in several of them.

    def _pool(self, arrival: Arrival) -> WorkerPool[Job]:
        request = arrival.content
        if not isinstance(request, Request) or request.method != "POST":
            return self._short
        return self._costly if self._is_costly(request) else self._runs

    def _enter_progress(self, connection: Connection) -> None:
        connection.in_progress = True
        with self._changed:
            self._in_progress += 1

    def _leave_progress(self, connection: Connection) -> None:
        if connection.in_progress:
            connection.in_progress = False
            with self._changed:
                self._in_progress -= 1

    def _work(self, job: Job) -> None:
        """Answer a request, and those that soon follow it; then return the connection."""
        connection, arrival, pool = job
        try:
            while self._answer(connection, arrival):
                following = self._following(connection, pool)
                if following is None:
                    break
                self._enter_progress(connection)
                arrival = following
        except BaseException:
            connection.abandon()
            raise
        finally:
            self._returned.append(connection)
            self._wake()

    def _answer(self, connection: Connection, arrival: Arrival) -> bool:
        """Answer a request; tell whether all has been sent and the connection stays open."""
        assert isinstance(arrival.content, Request)  # noqa: S101 - the loop answers the others
        response = self._handler(arrival.content)
        if self._is_draining:
            headers = (*response.headers, ("Connection", "close"))
            response = replace(response, headers=headers, closes=True)
        if not connection.respond(arrival, response):
            return False
        self._leave_progress(connection)
        return connection.finish_response()

    def _following(self, connection: Connection, pool: WorkerPool[Job]) -> Arrival | None:
        """Return the next request of a connection if it comes soon and this thread may wait."""
        end = monotonic() + _LINGER_S
        while pool.has_spare_thread and not self._is_draining:
            arrival = connection.next_arrival()
            if arrival is not None:
                if isinstance(arrival.content, Request) and self._pool(arrival) is pool:
                    return arrival
                connection.pending = arrival
                return None
            data = connection.receive() if monotonic() < end else None
            if not data:
                return None
            connection.take_anyway(data)  # the event loop refuses what comes after
        return None

    def _wake(self) -> None:
        if not self._is_woken:
            self._is_woken = True
            with suppress(OSError):
                self._wake_in.send(b"x")


def _listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens; one on an IPv6 address also accepts IPv4 clients."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _rank(arrival: Arrival) -> float:
    """Return the order among requests that wait for a thread: by time, and by size of the body."""
    is_large = len(arrival.content.body) > LARGE_BYTES
    return monotonic() + (_LARGE_DELAY_S if is_large else 0.0)


def costly_threads(threads: int) -> int:
    """Return the number of threads for costly requests beside so many for others."""
    return max(1, threads // _THREADS_PER_COSTLY)


def no_memory() -> Response:
    """Return the response to a request that does not fit into the memory for all of them."""
    text = (
        "The request bodies of all connections have reached the limit that"
        " --rest_api_max_total_bytes sets; try again."
    )
    return error_response(503, text, ("Retry-After", "1"))


def _no_memory_left() -> Response:
    text = "The server has no memory for the request; try again."
    return error_response(503, text, ("Retry-After", "1"))


def _no_thread() -> Response:
    text = "The server cannot start a thread for the request; try again."
    return error_response(503, text, ("Retry-After", "1"))


def _too_slow() -> Response:
    return error_response(408, "The request arrives too slowly.")


def serve(server: HttpServer) -> threading.Thread:
    """Accept connections in a separate thread until the server is drained."""
    thread = threading.Thread(target=server.serve_forever, name="http-loop", daemon=True)
    thread.start()
    return thread
