"""The event loop of a worker: its main thread accepts, reads, sends and closes all connections.

The main thread reads the sockets, all of them at once and without waiting, and hands a request on
when its last byte is there. It also sends what clients take late, and waits for callers to close
their end. Clients that are slow, or stop, thus hold no other thread.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Final

from gunicorn.workers.gthread import ThreadWorker

from flask_server.runtime import refusal
from flask_server.runtime.arrival import MIN_BYTES_PER_S, Arrival
from flask_server.runtime.connection import ArrivedSocket, Connection
from flask_server.runtime.connection_memory import ConnectionMemory
from flask_server.runtime.refusal import NO_MEMORY
from flask_server.web.services import Services, services_of
from flask_server.web.unhandled import Unhandled

#: Seconds between two searches for connections that are overdue.
SWEEP_S: Final = 0.5
#: Maximum seconds for which the main thread serves connections before it accepts others.
TURN_S: Final = 0.02
#: Seconds that a connection stays open after its last response: without a read, and in total.
LINGER_S: Final = 2.0
MAX_LINGER_S: Final = 10.0
#: Seconds for which file descriptors count as used up after a connection could not be accepted.
DESCRIPTOR_SHORTAGE_S: Final = 1.0
#: Seconds after which a client that takes nothing of its response is disconnected.
STALL_S: Final = 10.0
#: Seconds after which a request that is still arriving gives its memory to others that need it.
SLOW_S: Final = 5.0

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class EventLoopWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose main thread serves all connections; a subclass answers the requests."""

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

        self._sweeps_at = 0.0
        """When connections that are overdue are looked for again."""

        self._refused: list[str] = []
        """IDs of the requests that were refused and have not been counted and logged yet."""

        super().init_process()

    @cached_property
    def _services(self) -> Services:
        return services_of(self.wsgi)

    @cached_property
    def _memory(self) -> ConnectionMemory:
        return ConnectionMemory(self._services.gateway.memory)

    def _refusal(self, arrival: Arrival) -> str | None:
        """Return why a request whose head has arrived is refused, in a sentence, or None."""
        raise NotImplementedError

    def _answer(self, conn: Connection, arrival: Arrival) -> None:
        """Answer a request that has arrived whole; ``_send_rest`` or ``_go_on`` follow."""
        raise NotImplementedError

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

    def murder_keepalived(self, force: bool = False) -> None:
        """Close idle connections and those with a request that arrives too slowly, or all."""
        now = time.monotonic()
        if now < self._sweeps_at and not force:
            return
        self._sweeps_at = now + SWEEP_S
        self._note_refusals()
        super().murder_keepalived(force)
        late = [conn for conn in self._waiting if force or _is_late(conn, now)]
        ending = [*self._sending, *self._parting]
        late += [conn for conn in ending if force or now > conn.timeout]
        for conn in late:
            self._close(conn, Unhandled.DROPPED if force else Unhandled.TOO_SLOW)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close connections without a request by this time at the latest; the worker stops."""
        super()._cap_keepalive(deadline)
        for conn in self._waiting:
            conn.timeout = min(conn.timeout, deadline)

    def _count(self, reason: Unhandled, count: int = 1) -> None:
        """Count requests that end before the app handles them; runs in any thread."""
        self._services.count_unhandled(reason, count)

    def _drop_oldest(self) -> None:
        """Close the oldest connection with its last response, else the one that waited longest."""
        for connections in (self._parting, self._waiting, self._sending):
            if connections:
                self._close(next(iter(connections)), Unhandled.DROPPED)
                return

    def _new_arrival(self) -> Arrival:
        return Arrival(self._services.gateway.settings.max_body_bytes, time.monotonic())

    def _expect_request(self, conn: Connection) -> None:
        """Let the main thread wait for a request; its beginning may have arrived already."""
        if conn.arrival is None:
            conn.arrival = self._new_arrival()
        conn.set_timeout()
        if not self.alive:
            conn.timeout = min(conn.timeout, time.monotonic() + LINGER_S)
        self._waiting[conn] = None
        if self._make_room_for_client(conn, len(conn.arrival.buffer)):
            self._read(conn)
        else:
            self._refuse(conn, NO_MEMORY)
        if conn in self._waiting:  # the request has not arrived whole
            self._watch(conn, selectors.EVENT_READ, self._read)

    def _read(self, conn: Connection, _sock: object = None) -> None:
        """Read the bytes of a request that have arrived; answer a whole request."""
        arrival = conn.arrival or self._new_arrival()
        conn.arrival = arrival
        if not arrival.complete and not self._receive(conn, arrival):
            return
        # A request is refused once its head has arrived, since its body may be large. The head may
        # be new without new bytes: a thread that waited for the next request has read it.
        is_due = arrival.take_new_head() or arrival.complete
        detail = self._refusal(arrival) if is_due else None
        if detail is not None:
            self._refuse(conn, detail)
        elif arrival.complete:
            self._answer(conn, arrival)
        elif arrival.take_expectation():
            conn.sock.send_now(_CONTINUE)

    def _receive(self, conn: Connection, arrival: Arrival) -> bool:
        """Take the bytes of a request that have arrived; return False if the connection ends."""
        data = conn.sock.receive_now()
        if data is None:
            return True
        if not data:
            self._close(conn, Unhandled.ABORTED)
            return False
        if not self._make_room_for_client(conn, len(data)):
            self._refuse(conn, NO_MEMORY)
            return False
        arrival.feed(data, time.monotonic())
        return True

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
            self._watch(conn, selectors.EVENT_WRITE, self._send)
        except (OSError, ValueError):  # gunicorn has closed it after a defect
            self._close(conn, Unhandled.DROPPED)
            return
        if not self._make_room_for_client(conn, size):
            self._close(conn, Unhandled.DROPPED)

    def _send(self, conn: Connection, _sock: object = None) -> None:
        """Send a part of a response that the client takes now."""
        try:
            if conn.sock.send_rest():
                conn.timeout = min(time.monotonic() + STALL_S, conn.ends_at)
        except OSError:  # reset
            self._close(conn, Unhandled.ABORTED)
            return
        if not conn.sock.unsent:
            self._leave_poller(conn)
            self._memory.release(conn)
            self._go_on(conn)

    def _refuse(self, conn: Connection, detail: str) -> None:
        """Answer that the worker has no room for the request, and why; no thread is needed."""
        self._leave_poller(conn)
        head = conn.arrival.head if conn.arrival else b""
        request_id = refusal.request_id(head)
        origins = self._services.gateway.settings.cors_origins
        conn.sock.send_now(refusal.response(head, request_id, detail, origins))
        self._refused.append(request_id)
        self._part(conn)

    def _note_refusals(self) -> None:
        """Count the refused requests, and log them in one line: under overload there are many."""
        if self._refused:
            ids, self._refused = self._refused, []
            self._count(Unhandled.NO_ROOM, len(ids))
            text = "requests refused, as the worker had no room for them: %d (%s)"
            self.log.warning(text, len(ids), ", ".join(ids))

    def _part(self, conn: Connection) -> None:
        """Close a connection after its last response, once the client has read it.

        Closing while the client still sends would reset the connection and lose the response.
        """
        conn.arrival = None
        self._memory.release(conn)
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
        now = time.monotonic()
        conn.timeout, conn.ends_at = now + LINGER_S, now + MAX_LINGER_S
        self._parting[conn] = None
        try:
            self._watch(conn, selectors.EVENT_READ, self._discard)
        except (OSError, ValueError):  # gunicorn has closed it after a defect
            self._close(conn)

    def _discard(self, conn: Connection, _sock: object = None) -> None:
        """Discard the bytes that a client sends after its last response."""
        data = conn.sock.receive_now()
        if data == b"":
            self._close(conn)
        elif data:
            conn.timeout = min(time.monotonic() + LINGER_S, conn.ends_at)

    def _watch(
        self, conn: Connection, events: int, call: Callable[[Connection, object], None]
    ) -> None:
        """Let the poller call a method when the socket of a connection is ready."""
        self.poller.register(conn.sock, events, partial(call, conn))
        conn.is_watched = True

    def _leave_poller(self, conn: Connection) -> None:
        self._waiting.pop(conn, None)
        self._sending.pop(conn, None)
        self._parting.pop(conn, None)
        if conn.is_watched:
            conn.is_watched = False
            with suppress(OSError, KeyError, ValueError):
                self.poller.unregister(conn.sock)

    def _close(self, conn: Connection, reason: Unhandled | None = None) -> None:
        """Close a connection; count the request that is arriving on it, if one can be."""
        if reason and conn.arrival and conn.arrival.begun:
            self._count(reason)
        self._leave_poller(conn)
        self._memory.release(conn)
        self.nr_conns -= 1
        conn.close()

    def _make_room(self, conn: Connection, count: int) -> bool:
        """Reserve bytes for a request; if too few are left, refuse requests that arrive slowly."""
        fits = partial(self._memory.reserve, conn, count)
        return fits() or self._refuse_slow(conn, fits)

    def _make_room_for_client(self, conn: Connection, count: int) -> bool:
        """Reserve bytes that wait for the client, likewise."""
        fits = partial(self._memory.reserve_for_client, conn, count)
        return fits() or self._refuse_slow(conn, fits)

    def _refuse_slow(self, conn: Connection, fits: Callable[[], bool]) -> bool:
        """Refuse requests that arrive slowly until there is room; return whether there is."""
        slow = [other for other in self._waiting if other is not conn and _is_slow(other)]
        for other in slow:
            self._refuse(other, NO_MEMORY)
            if fits():
                return True
        return False


def _is_connection(key: selectors.SelectorKey) -> bool:
    return isinstance(key.fileobj, ArrivedSocket)


def _is_late(conn: Connection, now: float) -> bool:
    arrival = conn.arrival
    return arrival.overdue(now) if arrival and arrival.begun else now > conn.timeout


def _is_slow(conn: Connection) -> bool:
    arrival = conn.arrival
    return bool(conn.reserved and arrival and arrival.age(time.monotonic()) > SLOW_S)
