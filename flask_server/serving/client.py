"""Speak TensorFlow Serving's REST API: bodies out, plain JSON values in.

Knows nothing about pictures. Every failure is a ``ServingFault``, or ``ServableGone`` where the
version that was asked is not loaded (any more): the one answer a caller can act upon.
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

AVAILABLE = "AVAILABLE"

#: A peer that does not take a connection within this time is not there.
CONNECT_S = 2.0

_CHUNK = 64 * 1024


class BrokenConnection(ServingUnavailable):
    """An open connection broke before the whole answer was there."""


class ServableGone(Exception):
    """Serving does not have the model, version or label that the path names."""


#: First match wins, so the narrow classes stand above the wide ones.
_MEANING: tuple[tuple[type[Exception], type[ServingFault], str], ...] = (
    (NewConnectionError, ServingUnavailable, "Serving at {root} cannot be reached."),
    (ConnectTimeoutError, ServingUnavailable, "Serving at {root} does not take connections."),
    (ReadTimeoutError, ServingTimeout, "Serving at {root} did not answer in time."),
    (ProtocolError, BrokenConnection, "The connection to Serving at {root} broke."),
    (HTTPError, ServingError, "Serving at {root} gave no readable answer."),
)
_STATUS_MEANING: dict[int, type[ServingFault]] = {
    HTTPStatus.TOO_MANY_REQUESTS: Overloaded,
    HTTPStatus.SERVICE_UNAVAILABLE: Overloaded,
    HTTPStatus.GATEWAY_TIMEOUT: ServingTimeout,
}


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What Serving says of one version."""

    version: int
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class _Connection(HTTPConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        _connect(self, super().connect)


def _connect(connection: HTTPConnection, connect: Callable[[], None]) -> None:
    """Bound the wait for the connection alone; what is then sent has all the time that is left.

    urllib3 itself knows no time-out for sending and takes that for connecting.
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
        """Return all versions Serving knows of the model, newest first."""
        answer = self._ask("GET", _path(model), None, deadline)
        try:
            return [_version_status(entry) for entry in answer["model_version_status"]]
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense("status") from error

    def label_version(self, model: str, label: str, deadline: Deadline) -> int:
        """Return the version that a version label points at."""
        path = f"{_path(model)}/labels/{quote(label, safe='')}/metadata"
        with self._guarded(deadline):
            answer = self._ask("GET", path, None, deadline)
        try:
            return int(answer["model_spec"]["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense("metadata") from error

    def signatures(self, model: str, version: int, deadline: Deadline) -> Mapping[str, Any]:
        """Return the SavedModel's signatures as the metadata call shows them."""
        with self._guarded(deadline):
            answer = self._ask("GET", f"{_path(model, version)}/metadata", None, deadline)
        try:
            return dict(answer["metadata"]["signature_def"]["signature_def"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense("metadata") from error

    def predict(self, model: str, version: int, body: bytes, deadline: Deadline) -> object:
        """Return ``predictions`` of a row-format predict call.

        A prediction changes nothing, so it is asked once more when the connection breaks.
        """
        path = f"{_path(model, version)}:predict"
        with self._guarded(deadline):
            try:
                answer = self._ask("POST", path, body, deadline)
            except BrokenConnection:
                answer = self._ask("POST", path, body, deadline)
        try:
            return answer["predictions"]
        except (KeyError, TypeError) as error:
            raise self._nonsense("predict") from error

    @contextmanager
    def _guarded(self, deadline: Deadline) -> Iterator[None]:
        """Fail at once while Serving is known to be away, and learn from each call."""
        deadline.left()  # a request without time says nothing about Serving
        if not self.breaker.allows():
            raise ServingUnavailable(f"Serving at {self.root} does not answer; it is being probed.")
        try:
            yield
        except (ServingUnavailable, ServingTimeout):
            self.breaker.failed()
            raise
        except (ServingFault, ServableGone):
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()

    def _ask(self, method: str, path: str, body: bytes | None, deadline: Deadline) -> Any:  # noqa: ANN401 (JSON)
        answer = self._exchange(method, path, body, deadline)
        if answer.status != HTTPStatus.OK:
            raise self._refusal(answer)
        try:
            return read_json(answer.body)
        except (ValueError, RecursionError) as error:
            raise self._nonsense("JSON") from error

    def _exchange(self, method: str, path: str, body: bytes | None, deadline: Deadline) -> _Answer:
        left = deadline.left()
        with self._translated():
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
                return _Answer(response.status, _whole_body(response, deadline))
            except BaseException:
                # A half-read connection must not be used again.
                response.close()
                raise
            finally:
                response.release_conn()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            ours, sentence = next(
                (ours, sentence) for theirs, ours, sentence in _MEANING if isinstance(error, theirs)
            )
            raise ours(sentence.format(root=self.root)) from error

    def _refusal(self, answer: _Answer) -> Exception:
        """Turn an answer that is not 200 into the error it means."""
        said = _error_text(answer)
        if answer.status == HTTPStatus.NOT_FOUND or "Unrecognized servable version" in said:
            return ServableGone(said)
        meaning = _STATUS_MEANING.get(answer.status, ServingError)
        return meaning(f"Serving at {self.root} answered {answer.status}: {said}")

    def _nonsense(self, what: str) -> ServingError:
        return ServingError(f"Serving at {self.root} answered something else than a {what} answer.")


def _whole_body(response: urllib3.BaseHTTPResponse, deadline: Deadline) -> bytes:
    """Read the answer, however slowly it drips, within the deadline."""
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


def _error_text(answer: _Answer) -> str:
    """Return what Serving said, cut to a length that fits into an error sentence."""
    try:
        said = str(json.loads(answer.body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        said = "no reason"
    return said[:300]
