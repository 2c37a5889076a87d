"""Listen on a port, read HTTP requests and send the responses of a handler.

One thread, the event loop, accepts connections and reads requests; a request is handed to another
thread when its last byte has arrived. So connections that are idle, slow or broken hold no thread.

What clients can make the server hold is limited: the size of a body, the bytes of all connections
together, the number of connections, and the time that a request or a response may take.
"""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from time import monotonic, sleep
from typing import Final

from model_server.byte_budget import ByteBudget
from model_server.transport.connection_events import TICK_S, ConnectionEvents
from model_server.transport.descriptors import max_connections
from model_server.transport.limits import MAX_TOTAL_BYTES, Limits
from model_server.transport.listener import ACCEPT_PAUSE_S, Listener, listening_socket
from model_server.transport.request_threads import CostCheck, Handler, RequestThreads
from model_server.transport.requests_in_progress import RequestsInProgress
from model_server.transport.watched_connections import WatchedConnections

#: While it stops, the server still answers what idle connections send within this time.
_LAST_REQUESTS_S: Final = 0.3


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
        limits = limits or Limits()
        sock = listening_socket(host, port)
        self._address = sock.getsockname()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._is_woken = False
        self._progress = RequestsInProgress()
        self._connections = WatchedConnections(self._selector, self._progress)
        self._threads = RequestThreads(
            handler,
            threads=threads,
            is_costly=is_costly,
            progress=self._progress,
            wake=self._wake,
        )
        self._events = ConnectionEvents(
            self._connections,
            self._threads,
            self._progress,
            max_body_bytes=limits.max_body_bytes,
            budget=budget or ByteBudget(MAX_TOTAL_BYTES),
        )
        self._listener = Listener(
            sock,
            self._selector,
            self._connections,
            max_connections=limits.connections or max_connections(),
            admit=self._events.admit,
        )
        self._changed = threading.Condition()
        self._last_requests_until = 0.0
        self._is_drained = False

    @property
    def port(self) -> int:
        """The port that the server listens on, also if port 0 was asked for."""
        return int(self._address[1])

    def drain(self, grace_s: float) -> bool:
        """Stop listening and wait for open responses; False if ``grace_s`` was too short.

        Idle connections may send one more request, which is answered with ``Connection: close``.
        """
        with self._changed:
            if not self._threads.is_draining:
                self._last_requests_until = monotonic() + min(_LAST_REQUESTS_S, grace_s)
                self._threads.is_draining = True
        self._wake()
        with self._changed:
            return self._changed.wait_for(lambda: self._is_drained, grace_s + _LAST_REQUESTS_S)

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

    def _turn_or_pause(self) -> None:
        """Serve events once; without memory for that, wait until there may be some again."""
        try:
            self._turn()
        except MemoryError:
            sleep(ACCEPT_PAUSE_S)

    def _turn(self) -> None:
        """Wait for events and serve them once."""
        listener, events, returned = self._listener, self._events, self._threads.returned
        is_draining = self._threads.is_draining
        if not is_draining:
            listener.resume()
        is_short = listener.accepts_at is not None or is_draining
        for key, _ in self._selector.select(ACCEPT_PAUSE_S if is_short else TICK_S):
            if key.fileobj is listener.sock:
                listener.accept()
            elif key.data is None:
                self._take_wake_up()
            elif key.data.state is not None:  # it may have been closed in this turn
                events.guarded(events.serve, key.data)
        while returned:
            events.guarded(events.take_back, returned.popleft())
        events.drop_overdue()
        if self._threads.is_draining:
            self._end_idle()

    def _wake(self) -> None:
        """Let the event loop go on; called by all threads."""
        if not self._is_woken:
            self._is_woken = True
            with suppress(OSError):
                self._wake_in.send(b"x")

    def _take_wake_up(self) -> None:
        """Take the byte of ``_wake``; only then may the next one be sent, or it would be lost."""
        with suppress(OSError):
            self._wake_out.recv(4096)
        self._is_woken = False

    def _end_idle(self) -> None:
        """Stop listening, close idle connections, and tell when no request is left."""
        self._listener.close()
        if monotonic() >= self._last_requests_until:
            self._connections.half_close_unanswered()
        is_over = monotonic() >= self._last_requests_until + _LAST_REQUESTS_S
        with self._changed:
            if not self._progress.count and (is_over or not self._connections.open):
                self._is_drained = True
                self._changed.notify_all()

    def _shut(self) -> None:
        self._connections.close_watched()
        for sock in (self._listener.sock, self._wake_in, self._wake_out):
            sock.close()
        self._selector.close()
        self._threads.stop()


def serve(server: HttpServer) -> threading.Thread:
    """Accept connections in a separate thread until the server is drained."""
    thread = threading.Thread(target=server.serve_forever, name="http-loop", daemon=True)
    thread.start()
    return thread
