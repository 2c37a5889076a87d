"""gunicorn's threaded worker, whose threads only see requests that have arrived whole.

gunicorn gives a connection to a thread as soon as it is accepted, so a few dozen callers that send
half a request hold all threads. Here the main thread of the worker reads the sockets, all of them
at once and without waiting, and hands a request to a thread when its last byte is there. It also
waits for callers to close their end. Health checks have threads of their own, and a worker whose
queue is full refuses in the main thread, so both are answered under any load.

After a response the thread waits up to ``STAY_MS`` for the next request of its connection. So one
thread serves a client that sends one request after another.
"""

from __future__ import annotations

import errno
import select
import selectors
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import ThreadWorker

from flask_server.inference.predict import Gateway
from flask_server.runtime import bad_request_page
from flask_server.runtime.arrival import MIN_BYTES_PER_S, Arrival
from flask_server.runtime.connection import ArrivedSocket, Connection
from flask_server.settings import BODY_COPIES
from flask_server.web.services import services_of

#: Milliseconds that a thread waits for the next request; busy clients send it far sooner.
STAY_MS: Final = 5
#: Seconds between two searches for connections that are overdue.
LOOK_S: Final = 0.5
#: Maximum seconds for which the main thread serves connections before it accepts others.
TURN_S: Final = 0.02
#: Maximum seconds for which a thread lets the main thread go first before it begins a request.
YIELD_S: Final = 0.2
#: Seconds that a connection stays open after its last response: without a read, and in total.
LINGER_S: Final = 2.0
MAX_LINGER_S: Final = 10.0
#: Maximum number of waiting requests per thread; those without a body count by themselves.
QUEUED_PER_THREAD: Final = 2
#: Maximum number of requests above the limit of those in flight that still go to threads, which
#: refuse them with all headers and a line in the access log. The main thread refuses further ones
#: at a fraction of the CPU time.
MAX_REFUSED_BY_THREADS: Final = 2
HEALTH_THREADS: Final = 2
#: Threads for requests without a body. These wait for Serving only until the first poll of a model
#: is over, and the interpreter runs one thread at a time, so more threads would only keep the main
#: thread from its turn.
GET_THREADS: Final = 2
#: Seconds for which file descriptors count as used up after a connection could not be accepted.
DESCRIPTOR_SHORTAGE_S: Final = 1.0
#: Seconds after which a client that takes nothing of its response is disconnected.
STALL_S: Final = 10.0
#: Seconds after which a request that is still arriving gives its memory to others that need it.
SLOW_S: Final = 5.0
#: Largest share of the memory budget for bytes that wait for clients: of requests that are still
#: arriving, and of responses that clients have not taken. The rest is left for decoding.
CLIENTS_SHARE: Final = 0.75
#: Bytes of each connection that do not count in that share, so that small requests can arrive.
FREE_BYTES: Final = 64 * 1024

_HEALTH: Final = (b"GET /healthz", b"GET /readyz", b"HEAD /healthz", b"HEAD /readyz")
_WITHOUT_BODY: Final = (b"GET ", b"HEAD ", b"OPTIONS ")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class GatewayWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A threaded worker that reads requests in its main thread."""

    _shortage_until = 0.0
    """When file descriptors no longer count as used up."""

    def init_process(self) -> None:
        """Create the sets of connections, then let gunicorn load the app and run."""
        self._waiting: dict[Connection, None] = {}
        """Connections whose next request has not arrived whole, the longest waiting first."""

        self._sending: dict[Connection, None] = {}
        """Connections whose client has not taken the whole response, the oldest first."""

        self._parting: dict[Connection, None] = {}
        """Connections with their last response that the client has not closed, the oldest first."""

        self._main_waits = threading.Event()
        """Whether the main thread has nothing to do."""

        self._looks_at = 0.0
        """When connections that are overdue are looked for again."""

        self._held_for_clients = 0
        """Bytes that count in the share of clients; used by the main thread only."""

        self._queued: Counter[futures.Executor | None] = Counter()
        """Requests that have been given to the threads of a pool and are not finished."""

        self._health_pool = _started(futures.ThreadPoolExecutor(HEALTH_THREADS, "health"))
        self._get_pool = _started(futures.ThreadPoolExecutor(GET_THREADS, "get"))
        self._few_threads: dict[futures.Executor | None, int] = {
            self._health_pool: HEALTH_THREADS,
            self._get_pool: GET_THREADS,
        }
        """The pools that have fewer threads than the worker."""

        super().init_process()

    def get_thread_pool(self) -> futures.ThreadPoolExecutor:
        """Return the pool of the threads for requests."""
        return _started(super().get_thread_pool())

    @property
    def _gateway(self) -> Gateway:
        return services_of(self.wsgi).gateway

    def accept(self, listener: Any) -> None:  # noqa: ANN401 (gunicorn has no types)
        """Accept a connection and read the bytes that have arrived on it."""
        if self.cfg.is_ssl:  # the handshake is left to gunicorn and its threads
            super().accept(listener)
            return
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                self._shortage_until = time.monotonic() + DESCRIPTOR_SHORTAGE_S
                self._drop_oldest()
            return  # another worker took it, or the caller has gone
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._drop_oldest()
        self._expect_request(Connection(self.cfg, sock, client, listener.getsockname()))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Accept connections and take them back from threads first, then read and send."""
        self._main_waits.set()
        events = self.poller.select(timeout)
        self._main_waits.clear()
        keys = sorted((key for key, _ in events), key=_is_connection)
        registered = self.poller.get_map()
        end = time.monotonic() + TURN_S
        for key in keys:
            if _is_connection(key) and time.monotonic() > end:
                break
            if registered.get(key.fd) is key:  # it may have been closed or refused in this turn
                key.data(key.fileobj)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 (gunicorn has no types)
        """Answer a request and those that follow at once; return what gunicorn's method returns."""
        if not isinstance(conn, Connection):
            return super().handle(conn)
        while True:
            kept = super().handle(conn)
            if kept is not True:  # the connection ends
                return kept
            self._release(conn)
            conn.arrival = arrival = self._next_arrival(conn)
            if conn.sock.unsent or not arrival.complete or not self._may_stay(conn):
                return True
            if self._pool(arrival) is not conn.pool:
                return True
            if not self._reserve(conn, BODY_COPIES * len(arrival.buffer)):
                return True
            conn.sock.load(arrival.buffer)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Answer invalid HTTP with an error; other exceptions are defects, left to gunicorn."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        request_id = uuid.uuid4().hex
        # Only the class is logged: the message quotes the request, which may have a key or image.
        self.log.warning("refused an invalid HTTP request: %s (%s)", type(exc).__name__, request_id)
        with suppress(OSError):
            client.sendall(bad_request_page.response(exc, request_id, self._any_origin()))

    def murder_keepalived(self, force: bool = False) -> None:
        """Close idle connections and those with a request that arrives too slowly, or all."""
        now = time.monotonic()
        if now < self._looks_at and not force:
            return
        self._looks_at = now + LOOK_S
        super().murder_keepalived(force)
        late = [conn for conn in self._waiting if force or _is_late(conn, now)]
        ending = [*self._sending, *self._parting]
        late += [conn for conn in ending if force or now > conn.timeout]
        for conn in late:
            self._close(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close connections without a request by this time at the latest; the worker stops."""
        super()._cap_keepalive(deadline)
        for conn in self._waiting:
            conn.timeout = min(conn.timeout, deadline)

    def _may_stay(self, conn: Connection) -> bool:
        """Tell whether the thread of a connection may wait for its next request.

        All connections, and all requests of the thread's pool, must have a thread; runs in one.
        When file descriptors are used up, no thread stays with its connection: the main thread
        gets it back, and may close it to accept another.
        """
        if time.monotonic() < self._shortage_until:
            return False
        threads = self._few_threads.get(conn.pool, self.cfg.threads)
        has_room = self.nr_conns <= self.cfg.threads and self._queued[conn.pool] <= threads
        return bool(self.alive and has_room)

    def _any_origin(self) -> str | None:
        return "*" if "*" in self._gateway.settings.cors_origins else None

    def _drop_oldest(self) -> None:
        """Close the oldest connection with its last response, else the one that waited longest."""
        for connections in (self._parting, self._waiting, self._sending):
            if connections:
                self._close(next(iter(connections)))
                return

    def _new_arrival(self) -> Arrival:
        return Arrival(self._gateway.settings.max_body_bytes, time.monotonic())

    def _next_arrival(self, conn: Connection) -> Arrival:
        """Return the part of the next request that arrives within ``STAY_MS``; runs in a thread."""
        arrival = self._new_arrival()
        begun = conn.parser.unreader.take_buffered() + conn.sock.take_rest()
        arrival.feed(begun, time.monotonic())
        if arrival.complete or conn.sock.unsent or not self._may_stay(conn):
            return arrival
        if _has_data(conn.sock, STAY_MS):
            arrival.feed(conn.sock.receive_now() or b"", time.monotonic())
        return arrival

    def _expect_request(self, conn: Connection) -> None:
        """Let the main thread wait for a request; its beginning may have arrived already."""
        if conn.arrival is None:
            conn.arrival = self._new_arrival()
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + LINGER_S)
        self._waiting[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read, conn))
        if self._make_room_for_client(conn, len(conn.arrival.buffer)):
            self._read(conn)
        else:
            self._refuse(conn)

    def _read(self, conn: Connection, _sock: object = None) -> None:
        """Read the bytes of a request that have arrived; give a whole request to a thread."""
        arrival = conn.arrival or self._new_arrival()
        conn.arrival = arrival
        if not arrival.complete:
            data = conn.sock.receive_now()
            if data is None:
                return
            if not data:
                self._close(conn)
                return
            if not self._make_room_for_client(conn, len(data)):
                self._refuse(conn)
                return
            arrival.feed(data, time.monotonic())
            if arrival.take_expectation():
                conn.sock.send_now(_CONTINUE)
        if arrival.complete:
            self._give_to_thread(conn, arrival)

    def _give_to_thread(self, conn: Connection, arrival: Arrival) -> None:
        conn.pool = pool = self._pool(arrival)
        is_health = pool is self._health_pool
        copies = (BODY_COPIES - 1) * len(arrival.buffer)
        if not is_health and (self._is_full(pool) or not self._make_room(conn, copies)):
            self._refuse(conn)
            return
        self._leave_poller(conn)
        self._end_share(conn)
        conn.arrival = None
        conn.sock.load(arrival.buffer)
        self._queued[pool] += 1
        # Where no further thread can be started, the request waits for those that exist.
        with suppress(RuntimeError, MemoryError):
            pool.submit(self._handle_in_thread, conn, pool)

    def _is_full(self, pool: futures.Executor) -> bool:
        """Tell whether the main thread refuses a further request to the threads of a pool."""
        queued = self._queued[pool]
        if pool is self.tpool:
            predictions = services_of(self.wsgi).predictions
            over_limit = queued >= predictions.limit + MAX_REFUSED_BY_THREADS
            if over_limit and predictions.count >= predictions.limit:
                return True
        return bool(queued >= self.cfg.threads * (1 + QUEUED_PER_THREAD))

    def _pool(self, arrival: Arrival) -> futures.Executor:
        """Return the threads for a request that has arrived."""
        if arrival.buffer.startswith(_HEALTH):
            return self._health_pool
        if arrival.buffer.startswith(_WITHOUT_BODY):
            return self._get_pool
        return cast("futures.Executor", self.tpool)

    def _handle_in_thread(self, conn: Connection, pool: futures.Executor) -> None:
        is_kept = False
        if pool is not self._health_pool:
            # The interpreter runs one thread at a time: connections would wait to be accepted.
            self._main_waits.wait(YIELD_S)
        try:
            is_kept = self.handle(conn) is True
        finally:
            self.method_queue.defer(self._take_back, conn, is_kept, pool)

    def _take_back(self, conn: Connection, is_kept: bool, pool: futures.Executor) -> None:
        """Take a connection back from its thread."""
        self._queued[pool] -= 1
        self._release(conn)
        conn.is_kept = is_kept
        if conn.sock.unsent:
            self._send_rest(conn)
        else:
            self._go_on(conn)

    def _go_on(self, conn: Connection) -> None:
        """Wait for the next request after a response, or end the connection."""
        if conn.is_kept:
            self._expect_request(conn)
        else:
            self._part(conn)

    def _send_rest(self, conn: Connection) -> None:
        """Let the main thread send what the client did not take of its response at once."""
        size = len(conn.sock.unsent)
        now = time.monotonic()
        conn.timeout, conn.ends_at = now + STALL_S, now + STALL_S + size / MIN_BYTES_PER_S
        self._sending[conn] = None
        try:
            self.poller.register(conn.sock, selectors.EVENT_WRITE, partial(self._send, conn))
        except (OSError, ValueError):  # gunicorn has closed it after a defect
            self._close(conn)
            return
        if not self._make_room_for_client(conn, size):
            self._close(conn)

    def _send(self, conn: Connection, _sock: object = None) -> None:
        """Send a part of a response that the client takes now."""
        try:
            if conn.sock.send_rest():
                conn.timeout = min(time.monotonic() + STALL_S, conn.ends_at)
        except OSError:  # reset
            self._close(conn)
            return
        if not conn.sock.unsent:
            self._leave_poller(conn)
            self._release(conn)
            self._go_on(conn)

    def _refuse(self, conn: Connection) -> None:
        """Answer that the worker has no room for the request; no thread is needed."""
        self._leave_poller(conn)
        request_id = uuid.uuid4().hex
        conn.sock.send_now(bad_request_page.overloaded(request_id, self._any_origin()))
        self.log.warning("refused a request: the worker has no room for it (%s)", request_id)
        services_of(self.wsgi).count_refused()
        self._part(conn)

    def _part(self, conn: Connection) -> None:
        """Close a connection after its last response, once the client has read it.

        Closing while the client still sends would reset the connection and lose the response.
        """
        conn.arrival = None
        self._release(conn)
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
        now = time.monotonic()
        conn.timeout, conn.ends_at = now + LINGER_S, now + MAX_LINGER_S
        self._parting[conn] = None
        try:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        except (OSError, ValueError):  # gunicorn has closed it after a defect
            self._close(conn)
            return
        self._discard(conn)

    def _discard(self, conn: Connection, _sock: object = None) -> None:
        """Discard the bytes that a client sends after its last response."""
        data = conn.sock.receive_now()
        if data == b"":
            self._close(conn)
        elif data:
            conn.timeout = min(time.monotonic() + LINGER_S, conn.ends_at)

    def _leave_poller(self, conn: Connection) -> None:
        self._waiting.pop(conn, None)
        self._sending.pop(conn, None)
        self._parting.pop(conn, None)
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)

    def _close(self, conn: Connection) -> None:
        self._leave_poller(conn)
        self._release(conn)
        self.nr_conns -= 1
        conn.close()

    def _reserve(self, conn: Connection, count: int) -> bool:
        """Reserve bytes of the memory budget for a request; return False if too few are left."""
        if not self._gateway.memory.reserve(count):
            return False
        conn.reserved += count
        return True

    def _make_room(self, conn: Connection, count: int) -> bool:
        """Reserve as ``_reserve``; requests that arrive slowly give way."""

        def fits() -> bool:
            return self._reserve(conn, count)

        return fits() or self._refuse_slow(conn, fits)

    def _make_room_for_client(self, conn: Connection, count: int) -> bool:
        """Reserve bytes that are held until the client goes on, within the share of clients."""
        size = conn.reserved + count
        counted = max(0, size - FREE_BYTES) - conn.held_for_client
        most = int(CLIENTS_SHARE * self._gateway.memory.total)

        def fits() -> bool:
            return self._held_for_clients + counted <= most and self._reserve(conn, count)

        if not fits() and not self._refuse_slow(conn, fits):
            return False
        conn.held_for_client += counted
        self._held_for_clients += counted
        return True

    def _refuse_slow(self, conn: Connection, fits: Callable[[], bool]) -> bool:
        """Refuse requests that arrive slowly until there is room; return whether there is."""
        slow = [other for other in self._waiting if other is not conn and _is_slow(other)]
        for other in slow:
            self._refuse(other)
            if fits():
                return True
        return False

    def _end_share(self, conn: Connection) -> None:
        """Count the bytes of a connection no longer in the share of clients."""
        if conn.held_for_client:  # never in a thread, which has whole requests only
            self._held_for_clients -= conn.held_for_client
            conn.held_for_client = 0

    def _release(self, conn: Connection) -> None:
        self._end_share(conn)
        self._gateway.memory.release(conn.reserved)
        conn.reserved = 0


def _started(pool: futures.ThreadPoolExecutor) -> futures.ThreadPoolExecutor:
    """Return the pool with a first thread; without one, the worker cannot start."""
    pool.submit(int)
    return pool


def _is_connection(key: selectors.SelectorKey) -> bool:
    return isinstance(key.fileobj, ArrivedSocket)


def _is_late(conn: Connection, now: float) -> bool:
    arrival = conn.arrival
    begun = arrival is not None and bool(arrival.buffer)
    return arrival.overdue(now) if begun and arrival else now > conn.timeout


def _is_slow(conn: Connection) -> bool:
    arrival = conn.arrival
    return bool(conn.reserved and arrival and arrival.age(time.monotonic()) > SLOW_S)


def _has_data(sock: socket.socket, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(milliseconds))
