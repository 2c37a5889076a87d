"""Make the spans of servers and clients with OpenTelemetry's API.

A span has an error type and never a message or a traceback, since both may quote a client.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from serving_tracing import conventions
from serving_tracing.conventions import Attributes

_SCOPE: Final = "image-classification-gateway"


@dataclass(slots=True)
class Waiting:
    """A request that waits for its batch since a time, in nanoseconds since 1970."""

    context: Context
    since: int
    is_over: bool = False

    @property
    def span_context(self) -> SpanContext:
        """The identity of the span that waits."""
        return trace.get_current_span(self.context).get_span_context()


class Batched(Protocol):
    """A request that is computed in a batch."""

    @property
    def waiting(self) -> Waiting | None:
        """What ``waiting`` returned when the request was queued."""


@dataclass(slots=True)
class _Batch:
    """The batch that is computed in the current context."""

    requests: int
    links: Sequence[Link]
    first_span: SpanContext | None = None


_batch: ContextVar[_Batch | None] = ContextVar("batch", default=None)


class Tracing:
    """Makes spans and gives them to the processors of a provider."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(_SCOPE)

    def shutdown(self) -> None:
        """Send what has not been sent yet, and end the threads of the provider."""
        self._provider.shutdown()

    def server_span(
        self,
        name: str,
        headers: Mapping[str, str],
        attributes: Attributes,
        *,
        only_as_child: bool = False,
    ) -> ServerSpan | None:
        """Start the span of a request; its parent is the span that the headers name.

        With ``only_as_child`` a request whose headers name none has no span.
        """
        parent = propagate.extract(headers, context=Context())
        if only_as_child and not _is_traced(parent):
            return None
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, attributes)
        return ServerSpan(self._tracer, span, parent)

    def span(self, name: str) -> AbstractContextManager[object]:
        """Return a context that is a span of the current trace, if there is one."""
        return _made_current(self._tracer, name) if _is_traced() else nullcontext()

    def annotate_model(self, model: str, version: int) -> None:
        """Write model and version into the current span."""
        attributes: Attributes = {conventions.MODEL: model, conventions.VERSION: version}
        trace.get_current_span().set_attributes(attributes)

    def trace_id(self) -> str | None:
        """Return the id of the current trace."""
        return _trace_id(trace.get_current_span()) if _is_traced() else None

    def http_call(
        self, method: str, root: str, path: str
    ) -> AbstractContextManager[ClientCall] | None:
        """Return the span of an HTTP call, if there is a current trace."""
        if not _is_traced():
            return None
        name = conventions.http_name(method, conventions.serving_route(path))
        return self._call(name, conventions.http_client(method, root, path))

    def grpc_call(self, target: str, path: str) -> AbstractContextManager[ClientCall] | None:
        """Return the span of a gRPC call, if there is a current trace."""
        if not _is_traced():
            return None
        return self._call(path[1:], conventions.rpc(path, target))

    @contextmanager
    def _call(self, name: str, attributes: Attributes) -> Iterator[ClientCall]:
        with _made_current(self._tracer, name, kind=SpanKind.CLIENT, attributes=attributes) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            yield ClientCall(span, headers)

    def waiting(self) -> Waiting | None:
        """Return the start of a wait for a batch, if there is a current trace."""
        if not _is_traced():
            return None
        return Waiting(trace.set_span_in_context(trace.get_current_span()), time.time_ns())

    @contextmanager
    def batch(self, requests: Iterable[Batched], *, wait: str, shared: str) -> Iterator[None]:
        """Compute a batch in the context; ``spans.batch`` describes its spans."""
        members = [request.waiting for request in requests if request.waiting is not None]
        if not members:
            yield
            return
        start = time.time_ns()
        for member in members:
            self._end_wait(member, wait, start)
        several = [Link(member.span_context) for member in members] if len(members) > 1 else []
        batch = _Batch(len(members), several)
        token, batch_token = attach(members[0].context), _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(batch_token)
            detach(token)
            links = [Link(batch.first_span)] if batch.first_span else []
            for member in members[1:]:
                self._record(shared, member.context, start, links)

    def _end_wait(self, member: Waiting, name: str, end: int) -> None:
        # A request whose batch has failed is computed again, without another wait.
        if not member.is_over:
            member.is_over = True
            self._record(name, member.context, member.since, (), end)

    def _record(
        self, name: str, context: Context, start: int, links: Sequence[Link], end: int | None = None
    ) -> None:
        """Make a span that has begun before, and end it."""
        span = self._tracer.start_span(name, context, links=links, start_time=start)
        span.end(end)


class ServerSpan:
    """The span of a request that this server answers."""

    def __init__(self, tracer: Tracer, span: Span, parent: Context) -> None:
        self._tracer = tracer
        self._span = span
        # The context of the parent may hold baggage, which is passed on.
        self._context = trace.set_span_in_context(span, parent)
        self.trace_id = _trace_id(span)

    def child(self, name: str) -> AbstractContextManager[object]:
        """Return a context that is a span below this one, in whichever thread."""
        return _made_current(self._tracer, name, self._context)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the current span of the thread."""
        token = attach(self._context)
        try:
            yield
        finally:
            detach(token)

    def end(self, attributes: Attributes, error: str | None) -> None:
        """End the span; ``error`` is its error type, None for a success."""
        self._span.set_attributes(attributes)
        if error is not None:
            _fail(self._span, error)
        self._span.end()


@dataclass(frozen=True, slots=True)
class ClientCall:
    """A call to another server."""

    _span: Span
    headers: Mapping[str, str]
    """The headers that name the call's span to the other server."""

    def set_http_status(self, status: int) -> None:
        """Write the status of the response."""
        self._span.set_attribute(conventions.HTTP_STATUS, status)
        if status >= conventions.CLIENT_ERROR:
            _fail(self._span, str(status))

    def set_grpc_code(self, code: str) -> None:
        """Write the name of the status code."""
        self._span.set_attribute(conventions.RPC_STATUS, code)
        if code != "OK":
            _fail(self._span, code)


@contextmanager
def _made_current(
    tracer: Tracer,
    name: str,
    context: Context | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
) -> Iterator[Span]:
    """Make a span and let it be the current one of the block, which ends it."""
    batch = _batch.get()
    span = tracer.start_span(name, context, kind, attributes, batch.links if batch else None)
    if batch is not None:
        span.set_attribute(conventions.BATCH_REQUESTS, batch.requests)
        batch.first_span = batch.first_span or span.get_span_context()
    token = attach(trace.set_span_in_context(span, context))
    try:
        yield span
    except BaseException as error:
        _fail(span, error_type(error))
        raise
    finally:
        detach(token)
        span.end()


def error_type(error: BaseException) -> str:
    """Return the code of an error of ours or of gRPC, or the name of another one's class."""
    code = getattr(error, "code", None)
    if callable(code):  # an error of grpcio
        code = getattr(code(), "name", None)
    return code if isinstance(code, str) else type(error).__qualname__


def _fail(span: Span, error: str) -> None:
    span.set_attribute(conventions.ERROR_TYPE, error)
    span.set_status(Status(StatusCode.ERROR))


def _is_traced(context: Context | None = None) -> bool:
    return trace.get_current_span(context).get_span_context().is_valid


def _trace_id(span: Span) -> str:
    return trace.format_trace_id(span.get_span_context().trace_id)
