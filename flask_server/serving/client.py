"""The client of TensorFlow Serving's REST API: sends request bodies, returns JSON values.

Knows nothing about images. Every failure is a ``ServingFault``, or ``ServableGone`` if the model,
version or label is not loaded: the request can then be repeated with another version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
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
from flask_server.serving.breaker import Breaker

#: The state of a version that can be called.
AVAILABLE = "AVAILABLE"

#: Maximum seconds to wait for a connection.
CONNECT_S = 2.0

#: Bytes read at a time.
_CHUNK = 64 * 1024


class BrokenConnection(ServingUnavailable):
    """An open connection broke before the whole response had arrived."""


class ServableGone(Exception):
    """Serving does not have the model, version or label that the path names."""


#: The errors of urllib3, ours, and our text. First match wins: subclasses stand above their bases.
_ERRORS: tuple[tuple[type[Exception], type[ServingFault], str], ...] = (
    (NewConnectionError, ServingUnavailable, "The model server of {model} cannot be reached."),
    (
        ConnectTimeoutError,
        ServingUnavailable,
        "The model server of {model} accepted no connection in time.",
    ),
    (ReadTimeoutError, ServingTimeout, "The model server of {model} did not answer in time."),
    (ProtocolError, BrokenConnection, "The connection to the model server of {model} broke."),
    (HTTPError, ServingError, "The model server of {model} sent an invalid HTTP response."),
)
_STATUS_ERRORS: dict[int, type[ServingFault]] = {
    HTTPStatus.TOO_MANY_REQUESTS: Overloaded,
    HTTPStatus.SERVICE_UNAVAILABLE: Overloaded,
    HTTPStatus.GATEWAY_TIMEOUT: ServingTimeout,
}


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """The state that Serving reports for one version."""

    version: int
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class _HttpResponse:
    status: int
    body: bytes


class _Connection(HTTPConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


def _connect(connection: HTTPConnection, connect: Callable[[], None]) -> None:
    """Limit the time for connecting to ``CONNECT_S``, and not the time for sending the body.

    urllib3 has no timeout for sending: it would apply the one for connecting to both.
    """
    left = connection.timeout
    connection.timeout = min(left or CONNECT_S, CONNECT_S)
    connect()
    connection.timeout = left
    connection.sock.settimeout(left)


class Serving:
    """One TensorFlow Serving server and the connections to it."""

    def __init__(self, root: str, *, connections: int = 32) -> None:
        self.root = root
        self.breaker = Breaker()
        self._pool = urllib3.connection_from_url(root, maxsize=connections, retries=False)
        self._pool.ConnectionCls = _SecureConnection if root.startswith("https:") else _Connection

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
            return int(document["model_spec"]["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(model, "metadata") from error

    def signatures(self, model: str, version: int, deadline: Deadline) -> Mapping[str, Any]:
        """Return ``signature_def`` of the version's metadata, by signature name."""
        with self._guarded(model, deadline):
            document = self._call(model, "GET", f"{_path(model, version)}/metadata", None, deadline)
        try:
            return dict(document["metadata"]["signature_def"]["signature_def"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unexpected(model, "metadata") from error

    def predict(self, model: str, version: int, body: bytes, deadline: Deadline) -> object:
        """Send a predict call in row format and return ``predictions`` of its response.

        Predict calls are idempotent, so the call is repeated once if the connection breaks.
        """
        path = f"{_path(model, version)}:predict"
        with self._guarded(model, deadline):
            try:
                document = self._call(model, "POST", path, body, deadline)
            except BrokenConnection:
                document = self._call(model, "POST", path, body, deadline)
        try:
            return document["predictions"]
        except (KeyError, TypeError) as error:
            raise self._unexpected(model, "predict") from error

    @contextmanager
    def _guarded(self, model: str, deadline: Deadline) -> Iterator[None]:
        """Refuse the call while the circuit is open, else report its outcome to the breaker."""
        deadline.left()  # a request whose deadline has passed is not a failure of Serving
        if not self.breaker.allows():
            raise ServingUnavailable(
                f"The model server of {model} did not answer the last calls; calls are refused"
                " until a probe succeeds.",
                address=self.root,
            )
        try:
            yield
        except (ServingUnavailable, ServingTimeout):
            self.breaker.failed()
            raise
        except (ServingFault, ServableGone):
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()

    def _call(
        self, model: str, method: str, path: str, body: bytes | None, deadline: Deadline
    ) -> Any:  # noqa: ANN401 (JSON)
        response = self._exchange(model, method, path, body, deadline)
        if response.status != HTTPStatus.OK:
            raise self._error_of(model, response)
        try:
            return read_json(response.body)
        except (ValueError, RecursionError) as error:
            text = f"The response of the model server of {model} is not JSON."
            raise ServingError(text, address=self.root) from error

    def _exchange(
        self, model: str, method: str, path: str, body: bytes | None, deadline: Deadline
    ) -> _HttpResponse:
        left = deadline.left()
        with self._translated_errors(model):
            response = self._pool.urlopen(
                method,
                path,
                body=body,
                headers={"Content-Type": "application/json"} if body else None,
                timeout=urllib3.Timeout(connect=left, read=left),
                redirect=False,
                preload_content=False,
            )
            try:
                return _HttpResponse(response.status, _whole_body(response, deadline))
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
        if response.status == HTTPStatus.NOT_FOUND or "Unrecognized servable version" in text:
            return ServableGone(text)
        error = _STATUS_ERRORS.get(response.status, ServingError)
        text = f"The model server of {model} answered {response.status}: {text}"
        return error(text, address=self.root)

    def _unexpected(self, model: str, call: str) -> ServingError:
        return ServingError(
            f"The response of the model server of {model} to a {call} call lacks the expected"
            " fields.",
            address=self.root,
        )


def _whole_body(response: urllib3.BaseHTTPResponse, deadline: Deadline) -> bytes:
    """Read the body before the deadline, even if it arrives byte by byte."""
    parts = []
    while part := response.read1(_CHUNK):
        parts.append(part)
        left = deadline.left()
        connection: Any = response.connection
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(left)
    return b"".join(parts)


def _path(model: str, version: int | None = None) -> str:
    path = f"/v1/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _version_status(entry: Mapping[str, Any]) -> VersionStatus:
    return VersionStatus(int(entry["version"]), entry["state"], entry["status"]["error_message"])


def _error_text(response: _HttpResponse) -> str:
    """Return Serving's error message, shortened to 300 characters."""
    try:
        text = str(json.loads(response.body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = "no error message"
    return text[:300]
