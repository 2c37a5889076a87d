"""The REST and gRPC APIs of the embedded model server: routes, methods, statuses and limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, cast

from docs.generator.markdown import one_line, table
from model_catalog.protos import MESSAGES, ONEOFS
from model_server.codec import exact_parser
from model_server.errors import BY_CODE, InvalidArgument
from model_server.flag_table import FLAGS
from model_server.grpc_api import health
from model_server.grpc_api.api import GrpcApi, GrpcApiOptions
from model_server.grpc_api.predict_request import MAX_FIELDS
from model_server.metrics import Metrics
from model_server.rest import gzip_body
from model_server.rest.api import STATUS
from model_server.rest.routes import Verb, read_route
from model_server.transport import (
    connection,
    grpc_options,
    grpc_server,
    grpc_watchdog,
    http_messages,
    request_reader,
)
from model_server.transport.grpc_calls import Method
from model_server.transport.grpc_status import CODES
from serving_api import tensor_reader

_UNKNOWN: Final = "UNIMPLEMENTED"
#: The requests and responses by method, as TensorFlow Serving calls them, and our descriptions of
#: those that have another name.
_MESSAGES: Final = {
    "Predict": ("PredictRequest", "PredictResponse"),
    "Classify": ("ClassificationRequest", "ClassificationResponse"),
    "Regress": ("RegressionRequest", "RegressionResponse"),
    "MultiInference": ("MultiInferenceRequest", "MultiInferenceResponse"),
    "GetModelMetadata": ("GetModelMetadataRequest", "GetModelMetadataResponse"),
    "GetModelStatus": ("GetModelStatusRequest", "GetModelStatusResponse"),
    "HandleReloadConfigRequest": ("ReloadConfigRequest", "ReloadConfigResponse"),
    "Check": ("HealthCheckRequest", "HealthCheckResponse"),
    "Watch": ("HealthCheckRequest", "HealthCheckResponse"),
}
_DESCRIBED_AS: Final = dict.fromkeys(
    ("ClassificationRequest", "RegressionRequest"), "ExamplesRequest"
)
#: Described on their own, so that requests only name them.
_NAMED: Final = ("ModelSpec", "Tensor", "Input", "ModelConfigList")
#: The messages that others have as fields, as TensorFlow and protobuf call them.
_PUBLIC_NAMES: Final = {
    "Tensor": "TensorProto",
    "Shape": "TensorShapeProto",
    "StatusProto": "StatusProto",
    "TensorEntry": "map<string, TensorProto>",
    "Label": "map<string, int64>",
    "VersionPolicy": "ServableVersionPolicy",
    "ModelType": "enum",
}
_REQUEST_KEYS: Final = {
    Verb.PREDICT: "`instances` (rows) or `inputs` (columns), `signature_name`",
    Verb.CLASSIFY: "`examples`, `context`, `signature_name`",
    Verb.REGRESS: "`examples`, `context`, `signature_name`",
    Verb.METADATA: "",
    Verb.STATUS: "",
}
_ANSWERS: Final = {
    Verb.PREDICT: "`predictions` for rows, `outputs` for columns",
    Verb.CLASSIFY: "`results`: for each example a list of `[label, score]`",
    Verb.REGRESS: "`results`: a value for each example",
    Verb.METADATA: "`model_spec` and, in `metadata`, the signatures",
    Verb.STATUS: "`model_version_status`: the states of the versions, the newest first",
}
_VERSIONS: Final = ("", "/versions/{version}", "/labels/{label}")


def rest_routes() -> str:
    """Return the paths that the router accepts for each kind of request."""
    return table("method", "path", "request", "response", rows=_route_rows())


def _route_rows() -> Iterator[tuple[str, ...]]:
    for verb in Verb:
        method = "POST" if verb in {Verb.PREDICT, Verb.CLASSIFY, Verb.REGRESS} else "GET"
        end = {Verb.STATUS: "", Verb.METADATA: "/metadata"}.get(verb, f":{verb}")
        paths = [f"/v1/models/{{model}}{version}{end}" for version in _VERSIONS]
        shown = ", ".join(f"`{path}`" for path in paths if _is_route(method, path, verb))
        yield method, shown, _REQUEST_KEYS[verb], _ANSWERS[verb]


def _is_route(method: str, path: str, verb: Verb) -> bool:
    with suppress(InvalidArgument):
        return read_route(method, path.format(model="m", version=1, label="l")).verb is verb
    return False


def statuses() -> str:
    """Return the table of the status codes of both APIs."""
    rows = ((f"`{code}`", f"{CODES[code]}", f"{STATUS[code]}", _when(code)) for code in BY_CODE)
    return table("code", "gRPC", "HTTP", "when", rows=rows)


def _when(code: str) -> str:
    return one_line(BY_CODE[code].__doc__ or "")


def methods() -> dict[str, Method]:
    """Return the methods of all services by path; nothing is run."""
    nothing = cast(Any, None)
    api = GrpcApi(nothing, Metrics(), GrpcApiOptions(), nothing)
    return api.methods | health.Health(()).methods


def grpc_methods() -> str:
    """Return the table of the methods."""
    return table("method", "request", "response", "what", rows=_method_rows())


def _method_rows() -> Iterator[tuple[str, ...]]:
    for path, method in methods().items():
        request, response = _MESSAGES.get(path.rpartition("/")[2], ("", ""))
        streamed = f"stream of `{response}`" if method.watcher else f"`{response}`"
        text = one_line((method.handler or method.watcher).__doc__ or "")
        cells = (f"`{request}`", streamed) if request else ("any", f"`{_UNKNOWN}`")
        yield f"`{path[1:]}`", *cells, text


def grpc_messages() -> str:
    """Return the table of the fields that are read in each request, and written in responses."""
    return table("message", "fields", rows=_message_rows())


def _message_rows() -> Iterator[tuple[str, ...]]:
    pairs = [_MESSAGES[name] for name in _MESSAGES]
    names = [name for kind in (0, 1) for name in dict.fromkeys(pair[kind] for pair in pairs)]
    for name in (*names, *_NAMED):
        fields = _fields(_DESCRIBED_AS.get(name, name))
        yield f"`{_PUBLIC_NAMES.get(name, name)}`", ", ".join(fields)


def _fields(message: str) -> Iterator[str]:
    """Yield the fields of a message, those of messages in it after a point."""
    chosen = ONEOFS.get(message, ("", ()))[1]
    for name, (_, kind) in MESSAGES[message].items():
        inner = kind.removeprefix("*")
        several = "[]" if kind.startswith("*") and "map<" not in _kind(inner) else ""
        one_of = f" (instead of `{chosen[0]}`)" if name in chosen[1:] else ""
        if inner in _PUBLIC_NAMES or inner in _NAMED or inner not in MESSAGES:
            yield f"`{name}{several}`{_kind(inner)}{one_of}"
        elif list(MESSAGES[inner]) == ["value"]:  # a wrapper, so that 0 differs from nothing
            yield f"`{name}{several}.value`{one_of}"
        else:
            for field in _fields(inner):
                yield field.replace("`", f"`{name}{several}.", 1)


def _kind(message: str) -> str:
    named = _PUBLIC_NAMES.get(message, message)
    return f" ({named})" if message in MESSAGES or message in _PUBLIC_NAMES else ""


def rest_limits() -> str:
    """Return the table of the limits of the REST API."""
    return table("limit", "value", "beyond it", rows=_rest_limit_rows())


def _rest_limit_rows() -> Iterable[tuple[str, ...]]:
    body, total = _flag("rest_api_max_body_bytes"), _flag("rest_api_max_total_bytes")
    return (
        (
            "a request body",
            body,
            "413 with a JSON error, before the body is read where its length is given",
        ),
        (
            "a gzipped body after decompression",
            f"the same, at most {_size(gzip_body.MAX_BYTES)}",
            "it counts as empty, as in TensorFlow Serving: 400",
        ),
        (
            "requests and responses in memory, over all connections",
            total,
            "503 with `Retry-After`; a request that has been arriving for more than 5 seconds is"
            " given up for a new one",
        ),
        (
            "the head of a request",
            f"{_size(request_reader.MAX_HEAD_BYTES)} and {http_messages.MAX_LINES} lines",
            "400",
        ),
        (
            "sizes, extensions and trailer of a body in chunks",
            _size(request_reader.MAX_CHUNK_OVERHEAD),
            "413",
        ),
        (
            "what a body contains that the fast readers do not take",
            f"{exact_parser.MAX_VALUES:,} values, {exact_parser.MAX_SHORT_LISTS:,} short lists of"
            f" numbers, {exact_parser.MAX_NUMBERS:,} numbers, {exact_parser.MAX_ESCAPES:,} escapes"
            " in strings",
            "400",
        ),
        (
            "the time that a request takes to arrive, or a response to be read",
            _transfer(connection.TRANSFER_S, connection.MIN_BYTES_PER_S),
            "408, or the connection is closed",
        ),
        ("an idle connection", f"{connection.IDLE_S / 60:g} minutes", "it is closed"),
        (
            "connections",
            "the process's limit of open files (`ulimit -n`) less those that models need",
            "the connection that has been idle or incomplete for longest is closed",
        ),
    )


def grpc_limits() -> str:
    """Return the table of the limits of the gRPC API."""
    return table("limit", "value", "beyond it", rows=_grpc_limit_rows())


def _grpc_limit_rows() -> Iterable[tuple[str, ...]]:
    body, total = _flag("rest_api_max_body_bytes"), _flag("rest_api_max_total_bytes")
    full = "RESOURCE_EXHAUSTED"
    given_up = f"messages that have been arriving for more than {grpc_watchdog.SLOW_S:g} seconds"
    return (
        ("a message", body, full),
        (
            "what the tensors of a request take beyond its message: repeated values, strings,"
            " integers outside `tensor_content`",
            "the same",
            full,
        ),
        (
            "strings of a tensor, fields of a request",
            f"{tensor_reader.MAX_STRINGS:,}, {MAX_FIELDS:,}",
            full,
        ),
        (
            "messages, tensors and responses in memory, together with REST",
            total,
            "UNAVAILABLE",
        ),
        ("calls at the same time", f"{grpc_server.MAX_CALLS}", full),
        (
            "messages that arrive or wait for a run",
            f"{grpc_server.RUN_THREADS}",
            f"{given_up} are given up",
        ),
        (
            "memory that messages take while they arrive",
            "`rest_api_max_total_bytes`",
            "the older half of the messages that have been arriving for more than"
            f" {grpc_watchdog.SLOW_IN_NEED_S:g} seconds is given up (Linux only)",
        ),
        (
            "the time in which a response is read",
            _transfer(grpc_watchdog.ANSWER_S, grpc_watchdog.ANSWER_BYTES_PER_S),
            "the call is cancelled",
        ),
        ("an idle connection", f"{grpc_options.IDLE_MS / 60_000:g} minutes", "it is closed"),
        ("calls of `Watch`", f"{health.MAX_WATCHERS}", "more are answered once and ended"),
    )


def _flag(name: str) -> str:
    (flag,) = [flag for flag in FLAGS if flag.name == name]
    return f"`{name}`, {_size(int(flag.default))}"


def _size(size: int) -> str:
    mebibytes, rest = divmod(size, 1 << 20)
    return f"{mebibytes} MiB" if not rest else f"{size >> 10} KiB"


def _transfer(seconds: float, rate: float) -> str:
    return f"{seconds:g} seconds, and one more for each {rate / 1000:g} kB"
