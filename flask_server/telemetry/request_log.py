"""Make one log entry for each finished request and give it to the writers.

Knows neither the access log nor metrics, which are writers. A writer can rely on two promises:
every request that reaches the app gives exactly one entry, and no text in an entry comes from the
caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from flask import Response, json, request

from flask_server.errors import InternalError
from flask_server.web import request_context
from flask_server.web.problem_documents import PROBLEM_JSON
from flask_server.web.request_context import Outcome, RequestContext
from flask_server.web.route_traits import RouteTraits
from flask_server.web.services import gateway

UNMATCHED = "(unmatched)"
OTHER_METHOD = "OTHER"

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
_EMPTY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
#: Outcome of a request without a response, after a failure of Flask's own error handling.
_DEFECT = Outcome(status=InternalError.status.value, code=InternalError.code, bytes_out=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One finished request."""

    method: str
    route: str
    """The rule that matched, never the path."""

    status: int
    code: str | None
    """The code of a problem document."""

    seconds: float
    """Seconds from the first hook of the request until its response was ready to be sent."""

    stages: Mapping[str, float]
    """Seconds by stage of the stopwatch."""

    bytes_in: int | None
    """The ``Content-Length`` of the request; None for bodies without one."""

    bytes_out: int | None
    client: str | None
    api_key: str | None
    """The key's public id, never the key."""

    model: str | None
    """The configured model that the route names."""

    health_check: bool
    """Whether monitoring programs poll the route every few seconds."""

    predicts: bool
    """Whether the route answers predictions."""

    version: int | None
    """The model's version that answered."""

    split_label: str | None
    """The version label that the split of the model chose."""

    image_codes: Sequence[str | None]
    """The error code of each image of a prediction, None for one with predictions."""


Writer = Callable[[Entry], None]


def note_outcome(response: Response) -> Response:
    """Write the outcome into the request context; has to see the final response."""
    request_context.current().outcome = Outcome(
        status=response.status_code, code=_code(response), bytes_out=_body_bytes(response)
    )
    return response


def write_entry(writers: Sequence[Writer]) -> None:
    """Make the entry of the request that ends, from its context, and give it to each writer."""
    context = request_context.current_or_none()
    if context is not None:
        entry = _entry(context)
        for write in writers:
            write(entry)


def _entry(context: RequestContext) -> Entry:
    outcome = context.outcome or _DEFECT
    return Entry(
        method=request.method if request.method in _METHODS else OTHER_METHOD,
        route=request.url_rule.rule if request.url_rule else UNMATCHED,
        status=outcome.status,
        code=outcome.code,
        seconds=context.stopwatch.total(),
        stages=context.stopwatch.seconds,
        bytes_in=request.content_length,
        bytes_out=outcome.bytes_out,
        client=request.remote_addr,
        api_key=context.caller.id if context.caller else None,
        model=_model(context.route),
        health_check=context.route.health_check,
        predicts=context.route.predicts and request.method == "POST",
        version=context.version,
        split_label=context.split_label,
        image_codes=context.image_codes,
    )


def _model(route: RouteTraits) -> str | None:
    """Return the configured model of the route; a route without a model name uses the default."""
    models = gateway().models
    name = (request.view_args or {}).get("name", models.default if route.predicts else None)
    return name if name in models.names else None


def _code(response: Response) -> str | None:
    if response.mimetype != PROBLEM_JSON:
        return None
    code: str = json.loads(response.get_data())["code"]
    return code


def _body_bytes(response: Response) -> int | None:
    if request.method == "HEAD" or response.status_code in _EMPTY:
        return 0
    return response.content_length
