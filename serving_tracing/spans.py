"""Make spans while tracing is on. While it is off, each function is one branch.

The module imports nothing of OpenTelemetry; ``start`` installs the object that does.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from serving_tracing.tracing import Batched, ClientCall, Tracing, Waiting

_OFF: Final = nullcontext()
_tracing: Tracing | None = None


def install(tracing: Tracing | None) -> None:
    """Turn tracing on for this process, or with None off."""
    global _tracing
    _tracing = tracing


def active() -> Tracing | None:
    """Return what makes spans; None while tracing is off."""
    return _tracing


def span(name: str) -> AbstractContextManager[object]:
    """Return a context that is a span of the current trace; outside of a trace it is none."""
    return _OFF if _tracing is None else _tracing.span(name)


def annotate_model(model: str, version: int) -> None:
    """Write model and version into the current span."""
    if _tracing is not None:
        _tracing.annotate_model(model, version)


def trace_id() -> str | None:
    """Return the id of the current trace in hexadecimal digits, None outside of a trace."""
    return None if _tracing is None else _tracing.trace_id()


def http_call(method: str, root: str, path: str) -> AbstractContextManager[ClientCall] | None:
    """Return the span of a call to the server at ``root``; None where there is no current trace."""
    return None if _tracing is None else _tracing.http_call(method, root, path)


def grpc_call(target: str, path: str) -> AbstractContextManager[ClientCall] | None:
    """Return the span of a call of a method by its path; None without a current trace."""
    return None if _tracing is None else _tracing.grpc_call(target, path)


def waiting() -> Waiting | None:
    """Return the start of a wait for a batch; None where there is no current trace."""
    return None if _tracing is None else _tracing.waiting()


def batch(requests: Iterable[Batched], *, wait: str, shared: str) -> AbstractContextManager[object]:
    """Return a context in which a batch of requests is computed.

    Each request gets a span ``wait`` from its start until now. A span made in the context belongs
    to the trace of the first request and has links to all requests; each of the others gets a span
    ``shared`` with a link to it.
    """
    return _OFF if _tracing is None else _tracing.batch(requests, wait=wait, shared=shared)
