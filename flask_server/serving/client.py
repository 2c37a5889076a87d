"""The client of TensorFlow Serving's REST API: sends JSON bodies, returns JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from flask_server.deadline import Deadline
from flask_server.errors import (
    Overloaded,
    ServingError,
    ServingFault,
    ServingTimeout,
    ServingUnavailable,
)
from flask_server.json_reader import read_json
from flask_server.serving.encoding import choose_codec, describe_request
from flask_server.serving.signatures import Signatures
from flask_server.serving.tls import SYSTEM_TLS, TlsFiles
from flask_server.serving.transport import (
    ResponseTooLarge,
    call_timeout,
    connection_pool,
    whole_body,
)
from flask_server.serving.upstream import (
    CONNECTION_BROKE,
    MAX_BYTES,
    MAX_ERROR_BYTES,
    MAX_PREDICT_BYTES,
    NOT_REACHED,
    TIMED_OUT,
    TLS_FAILED,
    TOO_MANY_BYTES,
    BrokenConnection,
    CallFormat,
    Codec,
    Metadata,
    NoConnection,
    ServableGone,
    SingleServing,
    VersionStatus,
    engine_info,
    message_text,
    names_missing_version,
)
from model_catalog.model_entry import BIGGEST_VERSION
from serving_tracing import spans

#: The errors of urllib3, ours, and our text. First match wins: subclasses stand above their bases.
_ERRORS: tuple[tuple[type[Exception], type[ServingFault], str], ...] = (
    (NewConnectionError, NoConnection, NOT_REACHED),
    (
        ConnectTimeoutError,
        NoConnection,
        "The model server of {model} accepted no connection in time.",
    ),
    (SSLError, ServingUnavailable, TLS_FAILED),
    (ReadTimeoutError, ServingTimeout, TIMED_OUT),
    (ProtocolError, BrokenConnection, CONNECTION_BROKE),
    (ResponseTooLarge, ServingError, TOO_MANY_BYTES),
    (HTTPError, ServingError, "The model server of {model} sent an invalid HTTP response."),
)
#: A header of the embedded model server.
_ENGINE_HEADER = "Model-Engine"

_STATUS_ERRORS: dict[int, type[ServingFault]] = {
    # Of a proxy whose connection to one of several model servers broke.
    HTTPStatus.BAD_GATEWAY: BrokenConnection,
    HTTPStatus.TOO_MANY_REQUESTS: Overloaded,
    HTTPStatus.SERVICE_UNAVAILABLE: Overloaded,
    HTTPStatus.GATEWAY_TIMEOUT: ServingTimeout,
}


@dataclass(frozen=True, slots=True)
class _HttpResponse:
    status: int
    body: bytes
    engine: str
    """The header ``Model-Engine``, or an empty string."""


class RestServing(SingleServing):
    """A server that is asked over its REST API."""

    def __init__(self, root: str, *, connections: int = 32, tls: TlsFiles = SYSTEM_TLS) -> None:
        super().__init__(root)
        self._pool = connection_pool(root, connections, tls)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    def status(self, model: str, deadline: Deadline) -> list[VersionStatus]:
        """Return the state of each version of the model, newest first."""
        document = self._call(model, "GET", _path(model), None, deadline)
        try:
            return [_version_status(entry) for entry in document["model_version_status"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(model, "status") from error

    def label_version(self, model: str, label: str, deadline: Deadline) -> int:
        """Return the number of the version that has this version label."""
        path = f"{_path(model)}/labels/{quote(label, safe='')}/metadata"
        with self._guarded(model, deadline):
            document = self._call(model, "GET", path, None, deadline)
        try:
            return _version(document["model_spec"]["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(model, "metadata") from error

    def metadata(self, model: str, version: int, deadline: Deadline) -> Metadata:
        """Return the version's signatures (``signature_def``) and its engine."""
        path = f"{_path(model, version)}/metadata"
        with self._guarded(model, deadline):
            response = self._response(model, "GET", path, None, deadline)
            document = self._json(model, response)
        try:
            signatures = document["metadata"]["signature_def"]["signature_def"]
            if not isinstance(signatures, dict):
                raise TypeError("the signatures are no object")
            return Metadata(signatures, engine_info(response.engine))
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(model, "metadata") from error

    def describe(
        self, model: str, version: int, signatures: Signatures, deadline: Deadline
    ) -> object:
        """Return the rows of the ``describe`` signature, which has the spec of our exports."""
        return self.predict(model, version, describe_request(), deadline)

    def codec(self, model: str, version: int, format_: CallFormat) -> Codec:
        """Return the codec of JSON bodies in row or column format, or raise ServingError."""
        return choose_codec(format_)

    def predict(
        self,
        model: str,
        version: int,
        body: bytes,
        deadline: Deadline,
        max_bytes: int = MAX_PREDICT_BYTES,
    ) -> object:
        """Send a predict call and return ``predictions``, or in column format ``outputs``."""
        path = f"{_path(model, version)}:predict"
        with self._guarded(model, deadline):
            try:
                document = self._call(model, "POST", path, body, deadline, max_bytes)
            except BrokenConnection:
                document = self._call(model, "POST", path, body, deadline, max_bytes)
        try:
            return document["outputs" if "outputs" in document else "predictions"]
        except (KeyError, TypeError) as error:
            raise self._unexpected(model, "predict") from error

    def _call(
        self,
        model: str,
        method: str,
        path: str,
        body: bytes | None,
        deadline: Deadline,
        max_bytes: int = MAX_BYTES,
    ) -> Any:  # noqa: ANN401 (JSON)
        response = self._response(model, method, path, body, deadline, max_bytes)
        return self._json(model, response)

    def _json(self, model: str, response: _HttpResponse) -> Any:  # noqa: ANN401 (JSON)
        try:
            return read_json(response.body)
        except (ValueError, RecursionError) as error:
            text = f"The response of the model server of {model} is not JSON."
            raise ServingError(text, address=self.root) from error

    def _response(
        self,
        model: str,
        method: str,
        path: str,
        body: bytes | None,
        deadline: Deadline,
        max_bytes: int = MAX_BYTES,
    ) -> _HttpResponse:
        """Return a response with the status 200; raise the error that another status means."""
        response = self._exchange(model, method, path, body, deadline, max_bytes)
        if response.status != HTTPStatus.OK:
            raise self._error_of(model, response)
        return response

    def _exchange(
        self,
        model: str,
        method: str,
        path: str,
        body: bytes | None,
        deadline: Deadline,
        max_bytes: int,
    ) -> _HttpResponse:
        span = spans.http_call(method, self.root, path)
        if span is None:
            return self._send(model, method, path, body, deadline, max_bytes, {})
        with span as call:
            response = self._send(model, method, path, body, deadline, max_bytes, call.headers)
            call.set_http_status(response.status)
            return response

    def _send(
        self,
        model: str,
        method: str,
        path: str,
        body: bytes | None,
        deadline: Deadline,
        max_bytes: int,
        headers: Mapping[str, str],
    ) -> _HttpResponse:
        left = deadline.left()
        content_type = {"Content-Type": "application/json"} if body else {}
        with self._translated_errors(model):
            response = self._pool.urlopen(
                method,
                path,
                body=body,
                headers={**content_type, **headers},
                timeout=call_timeout(left),
                redirect=False,
                preload_content=False,
            )
            try:
                engine = response.headers.get(_ENGINE_HEADER, "")
                return _HttpResponse(response.status, _body(response, max_bytes), engine)
            except BaseException:
                # A half-read connection must not be used again.
                response.close()
                raise
            finally:
                response.release_conn()

    @contextmanager
    def _translated_errors(self, model: str) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            ours, text = next(
                (ours, text) for theirs, ours, text in _ERRORS if isinstance(error, theirs)
            )
            raise ours(text.format(model=model), address=self.root) from error

    def _error_of(self, model: str, response: _HttpResponse) -> Exception:
        """Return the error for a response whose status is not 200."""
        text = _error_text(response)
        if response.status == HTTPStatus.NOT_FOUND or names_missing_version(text):
            return ServableGone(text)
        error = _STATUS_ERRORS.get(response.status, ServingError)
        text = f"The model server of {model} answered {response.status}: {text}"
        return error(text, address=self.root)


def _body(response: urllib3.BaseHTTPResponse, max_bytes: int) -> bytes:
    """Return the body; of an error, the status matters more than a body that is too large."""
    if response.status == HTTPStatus.OK:
        return whole_body(response, max_bytes)
    try:
        return whole_body(response, MAX_ERROR_BYTES)
    except ResponseTooLarge:
        response.close()
        return b""


def _path(model: str, version: int | None = None) -> str:
    path = f"/v1/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _version_status(entry: Mapping[str, Any]) -> VersionStatus:
    state, message = entry["state"], entry["status"]["error_message"]
    if not isinstance(state, str) or not isinstance(message, str):
        raise TypeError("the state and its message are no strings")
    return VersionStatus(_version(entry["version"]), state, message)


def _version(value: object) -> int:
    """Return a version number, which Serving writes as a string."""
    if not isinstance(value, str | int) or not 0 <= int(value) <= BIGGEST_VERSION:
        raise ValueError("no version number")
    return int(value)


def _error_text(response: _HttpResponse) -> str:
    """Return Serving's error message, shortened."""
    try:
        return message_text(str(json.loads(response.body.decode(errors="replace"))["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no error message"
