"""Handle the requests of TensorFlow Serving's REST API: choose the status and write the body.

Knows routes, statuses and the order of checks; knows neither sockets nor engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from model_server.byte_budget import ByteBudget
from model_server.codec.json_reader import Document
from model_server.codec.json_writer import error_body
from model_server.engines.protocol import DEFAULT_SIGNATURE, Signature, Tensors
from model_server.errors import InvalidArgument, ModelServerError
from model_server.inference import classify_regress
from model_server.inference.method_names import check_method
from model_server.internal_errors import as_internal_error
from model_server.metrics import Metrics
from model_server.models.registry import Handle, Registry
from model_server.models.versions import ModelConfig
from model_server.request_log.records import Answered, ExamplesCall, LogKind, PredictCall
from model_server.request_log.request_log import RequestLog
from model_server.rest import model_list, predict_request, predict_response, request_span
from model_server.rest.classify_regress import classify_body, regress_body
from model_server.rest.examples import serialized_examples
from model_server.rest.gzip_body import decompressed
from model_server.rest.metadata import metadata_body, status_body
from model_server.rest.read_limit import ReadLimit, Turns
from model_server.rest.routes import BadRequestWithoutBody, Route, Verb, is_api, read_route
from model_server.transport.http_messages import JSON, Request, Response, error_page
from model_server.transport.limits import MAX_BODY_BYTES, MAX_TOTAL_BYTES
from serving_tracing import spans

_CONFIG_PATH: Final = "/v1/config"
_LISTS: Final = frozenset({"/v1/models", _CONFIG_PATH})
#: Always has the metrics; Prometheus asks for this path unless it is configured otherwise.
_METRICS_PATH: Final = "/metrics"
_PLAIN_TEXT: Final = (("Content-Type", "text/plain"),)
_CORS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)

#: Header of metadata responses, not of TensorFlow Serving: the engine of the version.
ENGINE_HEADER: Final = "Model-Engine"

#: The HTTP status of each TensorFlow status code.
STATUS: Final = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RestOptions:
    """Options of the REST API that command-line flags set."""

    cors: bool = False
    """Whether responses under /v1/ have CORS headers."""

    metrics_path: str | None = None
    """A path of the Prometheus metrics beside ``/metrics``, or None."""

    strict_methods: bool = False
    """Whether the method name of a signature is checked."""

    max_body_bytes: int = MAX_BODY_BYTES
    """Size of the largest request body, also after decompression."""


@dataclass(frozen=True, slots=True)
class _ExampleMethod:
    """What differs between classify and regress."""

    run: Callable[..., Any]
    body: Callable[[Any], bytes]
    log_kind: LogKind


_EXAMPLE_METHODS: Final = {
    Verb.CLASSIFY: _ExampleMethod(classify_regress.classify, classify_body, LogKind.CLASSIFY),
    Verb.REGRESS: _ExampleMethod(classify_regress.regress, regress_body, LogKind.REGRESS),
}


class Rest:
    """The REST API of the models in a registry."""

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        options: RestOptions,
        budget: ByteBudget | None = None,
        configured: Callable[[], Sequence[ModelConfig]] = tuple,
        request_log: RequestLog | None = None,
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._options = options
        self._budget = budget or ByteBudget(MAX_TOTAL_BYTES)
        self._read_limit = ReadLimit(self._budget)
        self._configured = configured
        self._request_log = request_log or RequestLog(metrics)
        self._headers = JSON + _CORS if options.cors else JSON

    def respond(self, request: Request) -> Response:
        """Return the response to a request; never raises a ModelServerError."""
        if request.path in (_METRICS_PATH, self._options.metrics_path):
            return self._metrics_response(request)
        if not is_api(request.target):
            return error_page(404)
        return request_span.respond(request, self._respond)

    def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return self._preflight(request)
        if request.method == "GET" and request.target in _LISTS:
            return Response(200, self._list_body(request.target), self._headers)
        try:
            route = read_route(request.method, request.target)
        except BadRequestWithoutBody:
            return Response(400, b"", self._headers)
        except ModelServerError as error:
            return self._error_response("", error)
        return self._route_response(route, request)

    def _list_body(self, target: str) -> bytes:
        configs = self._configured()
        if target == _CONFIG_PATH:
            return model_list.config_body(configs)
        names = [config.name for config in configs]
        return model_list.models_body(self._registry.all_statuses(names))

    def _route_response(self, route: Route, request: Request) -> Response:
        model = route.servable.model
        api = "" if request.method == "GET" else route.verb
        try:
            with (
                as_internal_error(f"answering {request.method} {request.target}"),
                self._metrics.timed("request_latency", model, api, "REST"),
            ):
                response = self._response(route, request)
        except ModelServerError as error:
            return self._error_response(model, error)
        self._metrics.count("request_count", model, "OK")
        return response

    def _error_response(self, model: str, error: ModelServerError) -> Response:
        self._metrics.count("request_count", model, error.code)
        return Response(STATUS[error.code], error_body(error.message), self._headers)

    def _metrics_response(self, request: Request) -> Response:
        path = self._options.metrics_path
        if request.path == path and request.target != path:
            text = f"Unexpected path: {request.target}. Should be {path}"
            return Response(400, text.encode(), _PLAIN_TEXT)
        return Response(200, self._metrics.text().encode("utf-8", "replace"), _PLAIN_TEXT)

    def _preflight(self, request: Request) -> Response:
        origin = request.headers.get("origin", "")
        known = "http://" in origin or "https://" in origin
        return Response(200 if known else 400, b"", _CORS if self._options.cors else ())

    def _response(self, route: Route, request: Request) -> Response:
        if route.verb is Verb.METADATA:
            with self._registry.acquire(route.servable) as handle:
                engine = ((ENGINE_HEADER, handle.model.engine),)
                body = metadata_body(route.servable.model, handle.version, handle.model.signatures)
                return Response(200, body, self._headers + engine)
        return Response(200, self._body(route, request), self._headers)

    def _body(self, route: Route, request: Request) -> bytes:
        if route.verb is Verb.STATUS:
            return status_body(
                self._registry.statuses(route.servable.model, route.servable.version)
            )
        with (
            decompressed(request, self._budget, self._options.max_body_bytes) as body,
            self._read_limit.reserved(body) as turns,
        ):
            if route.verb is Verb.PREDICT:
                return self._predict(route, body, turns)
            return self._run_examples(route, body, turns, _EXAMPLE_METHODS[route.verb])

    def _predict(self, route: Route, text: bytes, turns: Turns) -> bytes:
        with ExitStack() as held:
            with turns.reading(), spans.span("parse"):
                document = Document(text)
                name = document.read(predict_request.signature_name)
                handle = held.enter_context(self._registry.acquire(route.servable))
                signature = _signature(handle, name)
                inputs = document.read(
                    lambda reading: predict_request.tensors(reading, signature.inputs)
                )
                if self._options.strict_methods:
                    check_method(signature)
            spans.annotate_model(route.servable.model, handle.version)
            outputs = self._run(route, handle, name or DEFAULT_SIGNATURE, inputs)
        row = document.read(predict_request.is_row)
        write = predict_response.row_body if row else predict_response.column_body
        with turns.writing():
            body = write(outputs)
        answered = Answered(LogKind.PREDICT, handle.version, name or DEFAULT_SIGNATURE)
        call = PredictCall(answered, route.servable, name, signature, inputs, outputs)
        self._request_log.offer(route.servable.model, call)
        return body

    def _run(self, route: Route, handle: Handle, signature: str, inputs: Tensors) -> Tensors:
        model = route.servable.model
        first = next(iter(inputs.values()))
        self._metrics.count_examples(model, len(first) if first.ndim else 1)
        with self._metrics.timed("runtime_latency", model, "Predict", "TF1"):
            return handle.model.run(signature, inputs)

    def _run_examples(
        self, route: Route, text: bytes, turns: Turns, method: _ExampleMethod
    ) -> bytes:
        with turns.reading(), spans.span("parse"):
            document = Document(text)
            name = document.read(predict_request.signature_name)
            examples = document.read(serialized_examples)
        with self._registry.acquire(route.servable) as handle:
            spans.annotate_model(route.servable.model, handle.version)
            self._metrics.count_examples(route.servable.model, len(examples))
            strict, api = self._options.strict_methods, route.verb.capitalize()
            with self._metrics.timed("runtime_latency", route.servable.model, api, "TF1"):
                results = method.run(handle.model, name, examples, strict=strict)
        with turns.writing():
            body = method.body(results)
        answered = Answered(method.log_kind, handle.version, name or DEFAULT_SIGNATURE)
        call = ExamplesCall(answered, route.servable, name, examples, results)
        self._request_log.offer(route.servable.model, call)
        return body


def _signature(handle: Handle, name: str) -> Signature:
    wanted = name or DEFAULT_SIGNATURE
    signature = handle.model.signatures.get(wanted)
    if signature is None:
        raise InvalidArgument(f'Serving signature name: "{wanted}" not found in signature def')
    if not signature.inputs:
        raise InvalidArgument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    return signature
