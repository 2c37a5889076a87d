"""Make the span of a REST request, where tracing is on."""

from __future__ import annotations

from collections.abc import Callable

from model_server.transport.http_messages import Request, Response
from serving_tracing import conventions, spans


def respond(request: Request, answer: Callable[[Request], Response]) -> Response:
    """Return the response to a request, in a span of its own.

    GET requests, which poll states, have one only as a part of a trace that their client began.
    """
    tracing = spans.active()
    if tracing is None:
        return answer(request)
    method, path = conventions.method_of(request.method), request.path
    route = conventions.serving_route(path)
    attributes = conventions.http_server(method, "http", path, request.headers.get("host", ""))
    if route is not None:
        attributes[conventions.HTTP_ROUTE] = route
    span = tracing.server_span(
        conventions.http_name(method, route),
        request.headers,
        attributes,
        only_as_child=request.method != "POST",
    )
    if span is None:
        return answer(request)
    status = 500
    try:
        with span.current():
            response = answer(request)
        status = response.status
    finally:
        error = str(status) if status >= conventions.SERVER_ERROR else None
        span.end({conventions.HTTP_STATUS: status}, error)
    return response
