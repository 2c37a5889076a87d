"""Ask Serving and the gateway of an instance whether a model can be used, and why not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.logs import last_lines
from orchestrator.probe import ask

AVAILABLE = "AVAILABLE"
#: The gateway's code of a model that Serving has loaded and that the gateway cannot use.
_UNUSABLE = "serving_error"
_LOG_LINES = 500


@dataclass(frozen=True)
class ServedVersions:
    """What Serving says about the versions of a model."""

    states: dict[int, str]
    error: str = ""
    """Serving's error message for the first version."""

    @property
    def available(self) -> set[int]:
        """Return the versions that can be asked."""
        return {version for version, state in self.states.items() if state == AVAILABLE}

    @property
    def is_broken(self) -> bool:
        """Tell whether no version is available, loads or waits."""
        return set(self.states.values()) == {"END"}


@dataclass(frozen=True)
class Readiness:
    """What the gateway says about a model."""

    ready: bool
    reason: str
    """Why it is not ready."""

    unusable: bool = False
    """Whether waiting does not help, since Serving has loaded the model."""


class StatusRequests:
    """Requests for the states of several models' versions; none follows one without a response.

    So a Serving that hangs costs the caller the time limit of one request only.
    """

    def __init__(self, serving_url: str) -> None:
        self._serving_url = serving_url
        self.is_silent = False
        """Whether Serving has not answered a request."""

    def versions(self, name: str) -> ServedVersions | None:
        """Return the states of a model's versions; None when Serving tells none."""
        if self.is_silent:
            return None
        answer = ask(f"{self._serving_url}/v1/models/{quote(name)}")
        self.is_silent = answer.status is None
        return _served_versions(answer.body)


def served_versions(serving_url: str, name: str) -> ServedVersions | None:
    """Return the states of a model's versions; None when Serving tells none."""
    return StatusRequests(serving_url).versions(name)


def _served_versions(body: bytes) -> ServedVersions | None:
    try:
        versions = json.loads(body)["model_version_status"]
        states = {int(version["version"]): str(version["state"]) for version in versions}
        error = versions[0].get("status", {}).get("error_message", "END") if versions else ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return ServedVersions(states, str(error))


def readiness(gateway_url: str, name: str, log: Path) -> Readiness | None:
    """Return whether the gateway can use a model; None when the gateway does not answer."""
    url = f"{gateway_url}/readyz?model={quote(name)}"
    answer = ask(url)
    if answer.status is None:
        return None
    if answer.status == 200:
        return Readiness(ready=True, reason="")
    described = ask(f"{gateway_url}/models/{quote(name)}")
    error = _error_of(described.body) if described.status == 200 else _logged_error(log, name)
    if error is not None:
        return Readiness(ready=False, reason=error[1], unusable=error[0] == _UNUSABLE)
    detail = _document(answer.body).get("detail")
    return Readiness(ready=False, reason=str(detail or f"{url} answers {answer.status}"))


def unusable_models(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the models of a running instance that cannot be used now, with the reason of each."""
    found = {}
    for name in state.get("models", ()):
        gateway = state["children"]["gateway"]
        model = readiness(gateway["url"], name, Path(gateway["log"]))
        if model is None:  # the state of the gateway says more
            return {}
        if not model.ready:
            served = served_versions(state["serving"]["url"], name)
            found[name] = served.error if served and served.is_broken else model.reason
    return found


def _error_of(body: bytes) -> tuple[str, str] | None:
    """Return code and sentence of the error in the gateway's description of a model."""
    error = _document(body).get("error")
    if not isinstance(error, dict) or "detail" not in error:
        return None
    return str(error.get("code")), str(error["detail"])


def _logged_error(log: Path, name: str) -> tuple[str, str] | None:
    """Return code and sentence of the last line about the model in the gateway's log.

    This is for a gateway that describes its models only to callers with a key.
    """
    about = re.compile(rf"model {re.escape(name)}: (?:(\w+): )?(.*)")
    for line in reversed(last_lines(log, _LOG_LINES)):
        found = about.search(str(_document(line.encode()).get("message", line)))
        if found:
            return (found[1], found[2]) if found[1] else None
    return None


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
