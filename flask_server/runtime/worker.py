"""gunicorn's threaded worker, whose threads only see requests that have arrived whole.

gunicorn gives a connection to a thread as soon as it is accepted, so a few dozen callers that send
half a request hold all threads. Here the main thread of the worker reads all sockets
(``event_loop``) and hands a request to a thread when its last byte is there. Health checks have
threads of their own, and a worker whose queue is full refuses in the main thread, so both are
answered under any load.

After a response the thread waits up to ``STAY_MS`` for the next request of its connection. So one
thread serves a client that sends one request after another.
"""

from __future__ import annotations

import select
import socket
import time
import uuid
from concurrent import futures
from contextlib import suppress
from typing import Any, Final

from gunicorn.http.errors import ParseException

from flask_server.runtime import bad_request_page
from flask_server.runtime.arrival import Arrival
from flask_server.runtime.connection import Connection
from flask_server.runtime.event_loop import EventLoopWorker
from flask_server.runtime.refusal import NO_MEMORY
from flask_server.runtime.request_threads import RequestThreads, started
from flask_server.settings import BODY_COPIES

#: Milliseconds that a thread waits for the next request; busy clients send it far sooner.
STAY_MS: Final = 5
#: Maximum seconds for which a thread lets the main thread go first before it begins a request.
YIELD_S: Final = 0.2


class GatewayWorker(EventLoopWorker):
    """A worker that reads requests in its main thread and answers them in others."""

    def get_thread_pool(self) -> futures.ThreadPoolExecutor:
        """Create the pools of the threads for requests; return the main one."""
        main = started(super().get_thread_pool())
        self._threads = RequestThreads(main, self.cfg.threads)
        return main

    def handle(self, conn: Any) -> Any:  # noqa: ANN401 (gunicorn has no types)
        """Answer a request and those that follow at once; return what gunicorn's method returns."""
        if not isinstance(conn, Connection):
            return super().handle(conn)
        while True:
            kept = super().handle(conn)
            if kept is not True:  # the connection ends
                return kept
            self._memory.release(conn)
            conn.arrival = arrival = self._next_arrival(conn)
            if conn.sock.unsent or not arrival.complete or not self._may_stay(conn):
                return True
            if self._threads.pool_for(arrival) is not conn.pool:
                return True
            if not self._memory.reserve(conn, BODY_COPIES * len(arrival.buffer)):
                return True
            conn.arrival = None
            conn.sock.load(arrival.buffer)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ANN401
        """Answer invalid HTTP with an error; other exceptions are defects, left to gunicorn."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self._count(bad_request_page.reason(exc))
        request_id = uuid.uuid4().hex
        # Only the class is logged: the message quotes the request, which may have a key or image.
        self.log.warning("refused an invalid HTTP request: %s (%s)", type(exc).__name__, request_id)
        is_open = "*" in self._services.gateway.settings.cors_origins
        answer = bad_request_page.response(exc, request_id, "*" if is_open else None)
        with suppress(OSError):
            client.sendall(answer)

    def _may_stay(self, conn: Connection) -> bool:
        """Tell whether the thread of a connection may wait for its next request.

        All connections, and all requests of the thread's pool, must have a thread; runs in one.
        When file descriptors are used up, no thread stays with its connection: the main thread
        gets it back, and may close it to accept another.
        """
        if time.monotonic() < self._shortage_until:
            return False
        has_room = self.nr_conns <= self.cfg.threads and self._threads.are_enough(conn.pool)
        return bool(self.alive and has_room)

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

    def _refusal(self, arrival: Arrival) -> str | None:
        return self._threads.refusal(arrival, self._services.predictions)

    def _answer(self, conn: Connection, arrival: Arrival) -> None:
        """Give a request to a thread; refuse it if there is no memory for copies of its body."""
        threads, copies = self._threads, (BODY_COPIES - 1) * len(arrival.buffer)
        conn.pool = pool = threads.pool_for(arrival)
        if pool is not threads.health and not self._make_room(conn, copies):
            self._refuse(conn, NO_MEMORY)
            return
        self._leave_poller(conn)
        self._memory.end_share(conn)
        conn.arrival = None
        conn.sock.load(arrival.buffer)
        threads.queued[pool] += 1
        # Where no further thread can be started, the request waits for those that exist.
        with suppress(RuntimeError, MemoryError):
            pool.submit(self._handle_in_thread, conn, pool)

    def _handle_in_thread(self, conn: Connection, pool: futures.Executor) -> None:
        is_kept = False
        if pool is not self._threads.health:
            # The interpreter runs one thread at a time: connections would wait to be accepted.
            self._main_waits.wait(YIELD_S)
        try:
            is_kept = self.handle(conn) is True
        finally:
            self.method_queue.defer(self._take_back, conn, is_kept, pool)

    def _take_back(self, conn: Connection, is_kept: bool, pool: futures.Executor) -> None:
        """Take a connection back from its thread."""
        self._threads.queued[pool] -= 1
        self._memory.release(conn)
        conn.is_kept = is_kept
        if conn.sock.unsent:
            self._send_rest(conn)
        else:
            self._go_on(conn)


def _has_data(sock: socket.socket, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(milliseconds))
