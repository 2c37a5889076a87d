"""All that the gateway notes about the request it answers, in one typed object.

The first hook of a request makes it; each function that writes to it says so. Nothing else about a
request is kept in ``flask.g``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from flask import g, has_app_context, request

from flask_server.deadline import Deadline
from flask_server.stopwatch import Stopwatch
from flask_server.web import request_span
from flask_server.web.route_traits import RouteTraits, traits_of_request

if TYPE_CHECKING:
    from serving_tracing.tracing import ServerSpan

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Caller(Protocol):
    """The owner of the API key that came with a request."""

    @property
    def id(self) -> str:
        """The public id of the key."""

    @property
    def name(self) -> str:
        """The name of the key."""

    @property
    def limit(self) -> str | None:
        """The quota of the key; None where it has the gateway's default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a request was answered."""

    status: int
    code: str | None
    """The code of a problem document."""

    bytes_out: int | None


@dataclass(kw_only=True, slots=True)
class RequestContext:
    """One request; fields that no hook or view has written yet have their default."""

    request_id: str
    """The caller's own ``X-Request-ID`` if it is well-formed, else a new one."""

    stopwatch: Stopwatch
    """Started with the context, by the first hook."""

    route: RouteTraits
    """How hooks treat the request, as its view says."""

    span: ServerSpan | None = None
    """The span of the request in its trace; None where it is not traced."""

    caller: Caller | None = None
    """Written by ``authentication``; None where no key is needed."""

    admitted: bool = False
    """Written by ``admission``: whether the request holds one of the slots for predictions."""

    deadline: Deadline | None = None
    """Written by ``services.deadline`` when the body has arrived; all steps share it."""

    version: int | None = None
    """Written by the views: the model version that answered."""

    split_label: str | None = None
    """Written by the views: the version label that the split of the model chose."""

    image_codes: Sequence[str | None] = ()
    """Written by the views: the error code of each image, None for one with predictions."""

    outcome: Outcome | None = None
    """Written by ``request_log`` when the response is complete."""


def begin() -> None:
    """Make the context of a new request; the first hook."""
    route = traits_of_request()
    span = request_span.start(route)
    g.request_context = RequestContext(
        request_id=request_id_of(request.headers.get("X-Request-ID", "")),
        stopwatch=Stopwatch(span.child if span else None),
        route=route,
        span=span,
    )


def request_id_of(given: str) -> str:
    """Return the request ID that a caller has given if it is well-formed, else a new one."""
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def current() -> RequestContext:
    """Return the context of the current request."""
    return cast(RequestContext, g.request_context)


def traced() -> AbstractContextManager[object]:
    """Return a context in which calls to Serving belong to the trace of the current request."""
    span = current().span
    return span.current() if span else nullcontext()


def current_or_none() -> RequestContext | None:
    """Return the context, None outside of requests and before the first hook."""
    return g.get("request_context") if has_app_context() else None
