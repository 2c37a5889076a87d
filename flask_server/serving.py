"""Speak TensorFlow Serving's REST API: bodies out, plain JSON values in.

Knows nothing about pictures. Every failure is a ``ServingFault``, or ``ServableGone`` where the
version that was asked is not loaded (any more): the one answer a caller can act upon.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError, ProtocolError

from flask_server.deadline import Deadline
from flask_server.errors import (
    Overloaded,
    ServingError,
    ServingFault,
    ServingTimeout,
    ServingUnavailable,
)

AVAILABLE = "AVAILABLE"

#: First match wins, so the narrow classes stand above the wide ones.
_MEANING: tuple[tuple[type[Exception], type[ServingFault], str], ...] = (
    (requests.Timeout, ServingTimeout, "Serving at {root} did not answer in time."),
    (requests.exceptions.ChunkedEncodingError, ServingUnavailable, "Serving at {root} broke off."),
    (requests.ConnectionError, ServingUnavailable, "Serving at {root} cannot be reached."),
    (requests.RequestException, ServingError, "Serving at {root} gave no readable answer."),
)
_STATUS_MEANING = {
    HTTPStatus.TOO_MANY_REQUESTS: Overloaded,
    HTTPStatus.SERVICE_UNAVAILABLE: Overloaded,
    HTTPStatus.GATEWAY_TIMEOUT: ServingTimeout,
}


class ServableGone(Exception):
    """Serving does not have the model, version or label that the path names."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What Serving says of one version."""

    version: int
    state: str
    error: str


class Serving:
    """One TensorFlow Serving server and the connections to it."""

    def __init__(self, root: str, *, connections: int = 32) -> None:
        self.root = root
        self._session = requests.Session()
        # The environment's proxies are for the outer world, not for a peer at a given address.
        self._session.trust_env = False
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
        self._session.mount(root, adapter)

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

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
        answer = self._ask("GET", path, None, deadline)
        try:
            return int(answer["model_spec"]["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._nonsense("metadata") from error

    def signatures(self, model: str, version: int, deadline: Deadline) -> Mapping[str, Any]:
        """Return the SavedModel's signatures as the metadata call shows them."""
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
        try:
            answer = self._ask("POST", path, body, deadline)
        except BrokenConnection:
            answer = self._ask("POST", path, body, deadline)
        try:
            return answer["predictions"]
        except (KeyError, TypeError) as error:
            raise self._nonsense("predict") from error

    def _ask(self, method: str, path: str, body: bytes | None, deadline: Deadline) -> Any:  # noqa: ANN401 (JSON)
        timeout = deadline.left()
        with self._translated():
            answer = self._session.request(
                method,
                self.root + path,
                data=body,
                headers={"Content-Type": "application/json"} if body else None,
                timeout=timeout,
                allow_redirects=False,
            )
        if answer.status_code != HTTPStatus.OK:
            raise self._refusal(answer)
        try:
            return answer.json()
        except ValueError as error:
            raise self._nonsense(path) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            if _broke(error):
                raise BrokenConnection(f"The connection to {self.root} broke.") from error
            ours, sentence = next(
                (ours, sentence) for theirs, ours, sentence in _MEANING if isinstance(error, theirs)
            )
            raise ours(sentence.format(root=self.root)) from error

    def _refusal(self, answer: requests.Response) -> Exception:
        """Turn an answer that is not 200 into the error it means."""
        said = _error_text(answer)
        if answer.status_code == HTTPStatus.NOT_FOUND or "Unrecognized servable version" in said:
            return ServableGone(said)
        meaning = _STATUS_MEANING.get(HTTPStatus(answer.status_code), ServingError)
        return meaning(f"Serving at {self.root} answered {answer.status_code}: {said}")

    def _nonsense(self, what: str) -> ServingError:
        return ServingError(f"Serving at {self.root} answered something else than a {what} answer.")


class BrokenConnection(ServingUnavailable):
    """An open connection broke before the whole answer was there."""


def _broke(error: requests.RequestException) -> bool:
    """Tell a connection that broke from one that was never made."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, ProtocolError) and not isinstance(reason, NewConnectionError)


def _path(model: str, version: int | None = None) -> str:
    path = f"/v1/models/{quote(model, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _version_status(entry: Mapping[str, Any]) -> VersionStatus:
    return VersionStatus(int(entry["version"]), entry["state"], entry["status"]["error_message"])


def _error_text(answer: requests.Response) -> str:
    """Return what Serving said, cut to a length that fits into an error sentence."""
    try:
        said = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason or "no reason"
    return said[:300]
