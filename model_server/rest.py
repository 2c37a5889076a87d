"""Answer TensorFlow Serving's REST routes: which status and body belong to which request.

Knows paths, statuses and the order of checks; knows neither sockets nor engines.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from model_server import answers, inference, wire
from model_server.engine import DEFAULT_SIGNATURE, LoadedModel, Signature
from model_server.errors import InvalidArgument, ServingError
from model_server.examples import serialized_examples
from model_server.http_messages import JSON, Request, Response, page
from model_server.json_reader import Document
from model_server.json_text import error_body
from model_server.metadata import metadata_body, status_body
from model_server.registry import Handle, ModelRequest, Registry

logger = logging.getLogger(__name__)

_API: Final = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_CHOICE: Final = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_INFERENCE: Final = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_CHOICE}:(?P<verb>classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_INFORMATION: Final = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_CHOICE}(?:/(?P<verb>metadata))?",
    re.IGNORECASE | re.ASCII,
)
_BIGGEST_VERSION: Final = 2**63 - 1
_MAX_UNZIPPED: Final = 100 * 1024 * 1024

_CORS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type"),
)

#: The HTTP status of each of TensorFlow's codes.
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


class _NoBody(Exception):
    """The genuine server gives up before it writes a body; the status is 400."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestOptions:
    """What flags change about the REST interface."""

    cors: bool = False
    """Adds the CORS headers to every answer under /v1/."""

    strict_methods: bool = False
    """Lets classify and regress run only signatures that were exported for them."""


class Inference(Protocol):
    """Answers a classify or regress request."""

    def __call__(
        self, model: LoadedModel, name: str, examples: list[bytes], *, strict: bool
    ) -> bytes:
        """Return the body of the answer."""


class Rest:
    """The REST interface over a registry of models."""

    def __init__(self, registry: Registry, options: RestOptions) -> None:
        self._registry = registry
        self._options = options

    def answer(self, request: Request) -> Response:
        """Return the answer to any request."""
        if not _API.fullmatch(request.target):
            return page(404)
        headers = JSON + _CORS if self._options.cors else JSON
        if request.method == "OPTIONS":
            return self._preflight(request)
        try:
            return Response(200, self._dispatch(request), headers)
        except _NoBody:
            return Response(400, b"", headers)
        except ServingError as error:
            return Response(STATUS[error.code], error_body(error.message), headers)

    def _preflight(self, request: Request) -> Response:
        origin = request.headers.get("origin", "")
        known = "http://" in origin or "https://" in origin
        return Response(200 if known else 400, b"", _CORS if self._options.cors else ())

    def _dispatch(self, request: Request) -> bytes:
        pattern = {"POST": _INFERENCE, "GET": _INFORMATION}.get(request.method)
        match = pattern.fullmatch(request.target) if pattern else None
        if match is None:
            raise _malformed(request)
        wanted = _model_request(match)
        verbs: dict[str | None, Callable[[ModelRequest, Request], bytes]] = {
            "predict": self._predict,
            "classify": partial(self._infer, inference.classify),
            "regress": partial(self._infer, inference.regress),
            "metadata": self._metadata,
        }
        verb = match["verb"]
        if request.method == "GET":
            if not wanted.model:
                raise InvalidArgument("Missing model name in request.")
            return verbs.get(verb, self._status)(wanted, request)
        if verb not in verbs:
            raise _malformed(request)
        return verbs[verb](wanted, request)

    def _status(self, wanted: ModelRequest, _: Request) -> bytes:
        return status_body(self._registry.statuses(wanted.model, wanted.version))

    def _metadata(self, wanted: ModelRequest, _: Request) -> bytes:
        with self._registry.acquire(wanted) as handle:
            return metadata_body(wanted.model, handle.version, handle.model.signatures)

    def _predict(self, wanted: ModelRequest, request: Request) -> bytes:
        document = Document(_body(request))
        name = document.read(wire.signature_name)
        with self._registry.acquire(wanted) as handle:
            signature = _signature(handle, name)
            inputs = document.read(lambda reading: wire.tensors(reading, signature.inputs))
            outputs = handle.model.run(name or DEFAULT_SIGNATURE, inputs)
        row = document.read(wire.is_row)
        return answers.row_answer(outputs) if row else answers.column_answer(outputs)

    def _infer(self, run: Inference, wanted: ModelRequest, request: Request) -> bytes:
        document = Document(_body(request))
        name = document.read(wire.signature_name)
        examples = document.read(serialized_examples)
        with self._registry.acquire(wanted) as handle:
            return run(handle.model, name, examples, strict=self._options.strict_methods)


def _malformed(request: Request) -> InvalidArgument:
    return InvalidArgument(f"Malformed request: {request.method} {request.target}")


def _model_request(match: re.Match[str]) -> ModelRequest:
    version = None if match["version"] is None else int(match["version"])
    if version is not None and version > _BIGGEST_VERSION:
        raise _NoBody
    label = None if match["label"] is None else _unquoted(match["label"])
    return ModelRequest(_unquoted(match["model"] or ""), version, label)


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _signature(handle: Handle, name: str) -> Signature:
    wanted = name or DEFAULT_SIGNATURE
    signature = handle.model.signatures.get(wanted)
    if signature is None:
        raise InvalidArgument(f'Serving signature name: "{wanted}" not found in signature def')
    if not signature.inputs:
        raise InvalidArgument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    return signature


def _body(request: Request) -> bytes:
    """Return the body, unzipped if need be; one that cannot be unzipped counts as empty."""
    if "gzip" not in request.headers.get("content-encoding", ""):
        return request.body
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = unzip.decompress(request.body, _MAX_UNZIPPED + 1)
    except zlib.error:
        return b""
    return body if unzip.eof and len(body) <= _MAX_UNZIPPED else b""
