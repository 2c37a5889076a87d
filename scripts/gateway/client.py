"""A client of the gateway's HTTP API for programs that send many images."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter

from scripts.errors import ScriptError
from scripts.gateway.addresses import KEY_VARIABLE, URL
from scripts.reachability import is_loopback

_TIMEOUT_S = 60.0
#: Statuses that another attempt may cure: a limit, a restart, a version that changes.
_RETRIED = {429, 502, 503, 504}
#: Statuses that the next image would get too.
_FATAL = {401, 403, 404}
_ATTEMPTS = 6
_MAX_PAUSE_S = 60.0
_RECONNECT_S = 0.5


class Refused(Exception):
    """The gateway refused one image; ``code`` is that of its problem document."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


class GatewayFailed(ScriptError):
    """The gateway does not answer, or refuses every request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The model and version to ask; by default the newest version of the default model."""

    model: str
    version: int | None = None
    label: str | None = None
    top_k: int = 5

    @property
    def query(self) -> dict[str, str | int]:
        """The parameters of a request."""
        given = {"version": self.version, "label": self.label, "top_k": self.top_k}
        return {key: value for key, value in given.items() if value is not None}


def most_classes(described: Mapping[str, Any]) -> int:
    """Return how many classes a model, as ``/models`` describes it, can return."""
    output = described["output"]
    return int(output.get("top_k", output["classes"]))


class GatewayClient:
    """One gateway; safe to use from several threads."""

    def __init__(self, url: str = URL, api_key: str | None = None, connections: int = 1) -> None:
        """Without a key, the one in the environment variable ``GATEWAY_API_KEY`` is used."""
        self.url = url.rstrip("/")
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise GatewayFailed(f"{url!r} is not allowed; allowed is a URL such as {URL}.")
        key = api_key or os.environ.get(KEY_VARIABLE)
        self._headers = {"X-API-Key": key} if key else {}
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_maxsize=connections))
        self._session.mount("https://", HTTPAdapter(pool_maxsize=connections))
        # A proxy that the environment names cannot reach this machine's own addresses.
        self._session.trust_env = not is_loopback(self.url)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def default_model(self) -> str:
        """Return the name of the default model."""
        return str(self.models()["models"][0]["name"])

    def models(self) -> Mapping[str, Any]:
        """Return the description of all models."""
        return self._get("/models")

    def model(self, name: str) -> Mapping[str, Any]:
        """Return the description of a model; raise Refused if there is none."""
        return self._get(f"/models/{quote(name, safe='')}")

    def required_model(self, name: str) -> Mapping[str, Any]:
        """Return the description of a model that answers; raise GatewayFailed with the reason."""
        try:
            found = self.model(name)
        except Refused as error:
            raise GatewayFailed(f"The gateway at {self.url}: {error.detail}") from error
        if "output" not in found:
            reason = found.get("error", {}).get("detail", "no version of it is available.")
            raise GatewayFailed(f"Model {name} cannot be used: {reason}")
        return found

    def _get(self, path: str) -> Mapping[str, Any]:
        # On a connection of its own, so that any worker of the gateway may answer.
        response = self._send("GET", path, headers={"Connection": "close"})
        document = _document(response)
        if response.ok:
            return document
        refused = _refusal(response, document)
        if response.status_code == 404:
            raise refused
        raise GatewayFailed(f"The gateway at {self.url} refuses the request: {refused.detail}")

    def predict(self, picture: bytes, choice: Choice) -> Mapping[str, Any]:
        """Return the gateway's response for one image file.

        Raises Refused for an image that cannot be classified, and GatewayFailed where the other
        images could not be classified either.
        """
        path = f"/models/{quote(choice.model, safe='')}/predict"
        for attempt in range(1, _ATTEMPTS + 1):
            response = self._send("POST", path, data=picture, params=choice.query)
            document = _document(response)
            if response.ok:
                return document
            if response.status_code not in _RETRIED or attempt == _ATTEMPTS:
                break
            time.sleep(_pause_s(response, attempt))
        refused = _refusal(response, document)
        if response.status_code in _FATAL | _RETRIED:
            raise GatewayFailed(f"The gateway at {self.url} refuses the requests: {refused.detail}")
        raise refused

    def _send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        content = {"Content-Type": "application/octet-stream"} if data is not None else {}
        for is_last in (False, True):
            try:
                return self._session.request(
                    method,
                    self.url + path,
                    data=data,
                    params=params,
                    headers={"Accept": "application/json", **content, **self._headers}
                    | dict(headers or {}),
                    timeout=_TIMEOUT_S,
                )
            except (requests.RequestException, ValueError) as error:
                failure = error
                if not is_last:
                    time.sleep(_RECONNECT_S)
        raise GatewayFailed(
            f"The gateway at {self.url} does not answer ({type(failure).__name__}); is it running?"
        ) from failure


def _document(response: requests.Response) -> Mapping[str, Any]:
    try:
        document = response.json()
    except requests.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(response: requests.Response, document: Mapping[str, Any]) -> Refused:
    code = str(document.get("code", f"http_{response.status_code}"))
    detail = document.get("detail", f"The response has the status {response.status_code}.")
    return Refused(code, str(detail))


def _pause_s(response: requests.Response, attempt: int) -> float:
    """Return how long the gateway asks to wait, or a pause that doubles with each attempt."""
    try:
        wanted = float(response.headers.get("Retry-After", ""))
    except ValueError:
        wanted = 0.0
    return min(max(wanted, 0.25 * float(2**attempt)), _MAX_PAUSE_S)
