"""Make the span of a gRPC call, where tracing is on."""

from __future__ import annotations

from functools import wraps

from model_server.errors import ModelServerError
from model_server.internal_errors import as_internal_error
from model_server.transport.grpc_calls import Call, Handler
from serving_tracing import conventions, spans


def traced(path: str, handler: Handler, *, only_as_child: bool = False) -> Handler:
    """Return the handler of a method with a span for each call.

    With ``only_as_child`` a call has one only as a part of a trace that its client began.
    """

    @wraps(handler)
    def answer(call: Call) -> bytes:
        tracing = spans.active()
        if tracing is None:
            return handler(call)
        headers = {key: value for key, value in call.metadata() if isinstance(value, str)}
        attributes = conventions.rpc(path, "")
        span = tracing.server_span(path[1:], headers, attributes, only_as_child=only_as_child)
        if span is None:
            return handler(call)
        code = "INTERNAL"
        try:
            with span.current(), as_internal_error("a gRPC call"):
                answered = handler(call)
            code = "OK"
        except ModelServerError as error:
            code = error.code
            raise
        finally:
            failed = code if code in conventions.SERVER_ERROR_CODES else None
            span.end({conventions.RPC_STATUS: code}, failed)
        return answered

    return answer
