"""The handler as an ASGI application, called as the servers of others call one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from model_server.byte_budget import ByteBudget
from model_server.transport.asgi import AsgiApp
from model_server.transport.http_messages import Request, Response
from model_server.transport.limits import Limits

Event = dict[str, Any]


def echo(request: Request) -> Response:
    headers = (("X-Path", request.path), ("X-Target", request.target), ("Connection", "close"))
    return Response(200, request.headers.get("x-name", "").encode() + request.body, headers)


def scope(
    method: str = "POST",
    path: str = "/v1",
    query: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Event:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": list(headers),
    }


def ask(app: AsgiApp, called: Event, *events: Event) -> list[Event]:
    """What the application sends for a scope and the events of the client."""
    waiting, sent = list(events), []

    async def receive() -> Event:
        return waiting.pop(0)

    async def send(event: Event) -> None:
        sent.append(event)

    asyncio.run(app(called, receive, send))
    return sent


def body(*pieces: bytes) -> list[Event]:
    return [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, start=1)
    ]


def test_a_request_reaches_the_handler_whole_and_its_response_the_client() -> None:
    app = AsgiApp(echo, threads=1)
    called = scope(
        path="/v1/models/%6d", query=b"a=b", headers=[(b"X-Name", b"1"), (b"x-name", b"2")]
    )

    start, end = ask(app, called, *body(b"a", b"", b"bc"))

    assert start["status"] == 200
    assert dict(start["headers"]) == {
        b"x-path": b"/v1/models/%6d",
        b"x-target": b"/v1/models/%6d?a=b",
        b"content-length": b"4",
    }
    assert end["body"] == b"1abc"


def test_without_a_raw_path_the_path_is_quoted_again() -> None:
    called = scope(path="/v1/ü?") | {"raw_path": None}

    start, _ = ask(AsgiApp(echo, threads=1), called, *body(b""))

    assert dict(start["headers"])[b"x-path"] == b"/v1/%C3%BC%3F"


def test_a_head_request_gets_the_length_without_the_body() -> None:
    start, end = ask(AsgiApp(echo, threads=1), scope("HEAD"), *body(b"abc"))

    assert dict(start["headers"])[b"content-length"] == b"3"
    assert end["body"] == b""


def test_a_malformed_target_is_refused_as_on_the_own_port() -> None:
    start, _ = ask(AsgiApp(echo, threads=1), scope(path="/a\\b"), *body(b""))

    assert start["status"] == 400


@pytest.mark.parametrize(("limit", "total", "status"), [(4, 100, 413), (100, 4, 503)])
def test_a_body_over_a_limit_is_refused_before_it_has_arrived(
    limit: int, total: int, status: int
) -> None:
    budget = ByteBudget(total)
    app = AsgiApp(echo, threads=1, limits=Limits(max_body_bytes=limit), budget=budget)

    start, end = ask(app, scope(), {"type": "http.request", "body": b"12345", "more_body": True})

    assert start["status"] == status
    assert "rest_api_max" in json.loads(end["body"])["error"]
    assert budget.used == 0


def test_the_bytes_of_request_and_response_are_counted_until_the_end() -> None:
    budget, counted = ByteBudget(100), []

    def handler(request: Request) -> Response:
        counted.append(budget.used)
        return Response(200, b"x" * 5)

    ask(AsgiApp(handler, threads=1, budget=budget), scope(), *body(b"ab", b"c"))

    assert counted == [3]
    assert (budget.used, budget.released) == (0, 8)


def test_a_client_that_goes_early_gets_nothing() -> None:
    budget = ByteBudget(100)
    app = AsgiApp(echo, threads=1, budget=budget)
    piece = {"type": "http.request", "body": b"a", "more_body": True}

    assert ask(app, scope(), piece, {"type": "http.disconnect"}) == []
    assert budget.used == 0


def test_a_request_after_the_end_is_refused() -> None:
    app = AsgiApp(echo, threads=1)
    app.close()

    start, end = ask(app, scope(), *body(b""))

    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"1")
    assert "being stopped" in json.loads(end["body"])["error"]


def test_the_lifespan_of_the_server_is_answered() -> None:
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    sent = ask(AsgiApp(echo, threads=1), {"type": "lifespan"}, *events)

    assert [event["type"] for event in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


def test_a_websocket_is_closed() -> None:
    assert ask(AsgiApp(echo, threads=1), {"type": "websocket"}) == [{"type": "websocket.close"}]
