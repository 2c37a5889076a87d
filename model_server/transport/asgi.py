"""Serve the handler of an HTTP server as an ASGI application, behind the HTTP server of others.

Bodies are limited and counted, and requests share out the threads, as ``http_server`` does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

from model_server.byte_budget import ByteBudget
from model_server.errors import Unavailable
from model_server.transport.http_messages import (
    BadRequest,
    Request,
    Response,
    error_page,
    error_response,
    read_target,
)
from model_server.transport.limits import MAX_TOTAL_BYTES, Limits, no_memory
from model_server.transport.request_reader import too_large
from model_server.transport.request_threads import (
    SHORT_THREADS,
    CostCheck,
    Handler,
    costly_threads,
)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Result = TypeVar("Result")

#: Headers of one connection, which the server in front sets (RFC 9110, 7.6.1).
_OF_CONNECTIONS: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})


class _Disconnected(Exception):
    """The client has gone before its request had arrived."""


class AsgiApp:
    """An ASGI application that calls one handler for every HTTP request."""

    def __init__(
        self,
        handler: Handler,
        *,
        threads: int,
        limits: Limits | None = None,
        budget: ByteBudget | None = None,
        is_costly: CostCheck = lambda _: False,
    ) -> None:
        self._handler = handler
        self._is_costly = is_costly
        self._max_body_bytes = (limits or Limits()).max_body_bytes
        self._budget = budget or ByteBudget(MAX_TOTAL_BYTES)
        self._runs = ThreadPoolExecutor(threads, "asgi-run")
        self._costly = ThreadPoolExecutor(costly_threads(threads), "asgi-costly")
        self._short = ThreadPoolExecutor(SHORT_THREADS, "asgi")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request, follow the server's start and stop, or close a websocket."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await self._serve(scope, receive, send)

    def close(self) -> None:
        """End the threads after the requests that wait."""
        for pool in (self._runs, self._costly, self._short):
            pool.shutdown(wait=False)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken: list[int] = []
        try:
            response = await self._response(scope, receive, taken)
            taken.append(len(response.body))
            self._budget.add(len(response.body))
            await _send(response, send, is_head=scope["method"] == "HEAD")
        except _Disconnected:
            return
        finally:
            self._budget.add(-sum(taken))

    async def _response(self, scope: Scope, receive: Receive, taken: list[int]) -> Response:
        """Read a request and answer it; ``taken`` gets the sizes that the budget has counted."""
        body = await self._body(receive, taken)
        if isinstance(body, Response):
            return body
        try:
            path, target = read_target(_target(scope))
        except BadRequest:
            return error_page(400)
        request = Request(scope["method"], path, target, _headers(scope["headers"]), body)
        try:
            return await in_thread(self._pool(request), partial(self._handler, request))
        except Unavailable as error:
            return error_response(503, error.message, ("Retry-After", "1"))

    async def _body(self, receive: Receive, taken: list[int]) -> bytes | Response:
        """Return the body, or the response that refuses it."""
        pieces: list[bytes] = []
        size = 0
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise _Disconnected
            piece = bytes(event.get("body", b""))
            size += len(piece)
            if size > self._max_body_bytes:
                return too_large(self._max_body_bytes)
            if not self._budget.take(len(piece)):
                return no_memory()
            taken.append(len(piece))
            pieces.append(piece)
            if not event.get("more_body", False):
                return b"".join(pieces)

    def _pool(self, request: Request) -> ThreadPoolExecutor:
        if request.method != "POST":
            return self._short
        return self._costly if self._is_costly(request) else self._runs


async def in_thread(pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    """Run work in a thread of the pool; raise Unavailable if the pool takes none."""
    queued = [work]

    def run() -> Result:
        return queued.pop()()

    try:
        future = pool.submit(run)
    except (RuntimeError, MemoryError) as error:  # it was shut down, or no thread can be started
        queued.clear()  # the pool may have queued what is refused here
        text = "The server is being stopped, or cannot start a thread; try again."
        raise Unavailable(text) from error
    return await asyncio.wrap_future(future)


async def _live(receive: Receive, send: Send) -> None:
    """Take part in the start and the end of the server in front."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def _send(response: Response, send: Send, *, is_head: bool) -> None:
    headers = [pair for pair in response.headers if pair[0].lower() not in _OF_CONNECTIONS]
    headers.append(("Content-Length", str(len(response.body))))
    encoded = [(name.lower().encode("latin-1"), v.encode("latin-1")) for name, v in headers]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    body = b"" if is_head else response.body
    await send({"type": "http.response.body", "body": body})


def _target(scope: Scope) -> str:
    """Return the path as the client has written it, with the query."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1").partition("?")[0] if raw else quote(scope["path"], safe="/:@")
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by name; of several with one name, the first."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers
