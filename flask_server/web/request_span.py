"""Start the span of a request, where tracing is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from flask_server.web.route_traits import RouteTraits
from serving_tracing import conventions, spans

if TYPE_CHECKING:
    from serving_tracing.conventions import Attributes
    from serving_tracing.tracing import ServerSpan


def start(route: RouteTraits) -> ServerSpan | None:
    """Return the span of the current request; health checks and scrapes of metrics have none."""
    tracing = spans.active()
    if tracing is None or route.health_check:
        return None
    attributes = _attributes()
    rule = request.url_rule.rule if request.url_rule else None
    name = conventions.http_name(conventions.method_of(request.method), rule)
    if rule is not None:
        attributes[conventions.HTTP_ROUTE] = rule
    headers = {key.lower(): value for key, value in request.headers.items()}
    return tracing.server_span(name, headers, attributes)


def _attributes() -> Attributes:
    protocol = str(request.environ.get("SERVER_PROTOCOL", "")).partition("/")[2]
    optional = {
        "client.address": request.remote_addr,
        "network.protocol.version": protocol,
        "user_agent.original": request.user_agent.string,
    }
    start = conventions.http_server(request.method, request.scheme, request.path, request.host)
    return start | {name: value for name, value in optional.items() if value}
