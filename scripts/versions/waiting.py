"""Wait until the gateway answers with the wanted version."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.errors import ScriptError
from scripts.gateway.client import GatewayClient, Refused

_PAUSE_S = 0.2
#: Responses in a row that must agree: each worker of the gateway polls by itself.
_AGREEING = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be true of a model at the gateway."""

    model: str
    version: int | None = None
    """The version; None where any one will do."""

    label: str | None = None
    """The label that names the version; None for requests without a label."""

    def __str__(self) -> str:
        version = "a version" if self.version is None else f"version {self.version}"
        what = f"label {self.label} of model {self.model}" if self.label else f"model {self.model}"
        return f"{what} to be {version}"

    def is_true(self, described: Mapping[str, Any]) -> bool:
        """Tell whether the gateway's description of the model says so."""
        if self.label is not None:
            return bool(described.get("version_labels", {}).get(self.label) == self.version)
        version = described.get("version")
        return bool(described.get("ready")) and self.version in {None, version}

    def state(self, described: Mapping[str, Any]) -> str:
        """Return what the gateway says of it now."""
        if self.label is not None:
            version = described.get("version_labels", {}).get(self.label)
        else:
            version = described.get("version")
        return "no version" if version is None else f"version {version}"


def wait_until(
    client: GatewayClient,
    wanted: Wanted,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Return the seconds until it was true at the gateway; raise ScriptError if it is not in time.

    A version that Serving could not load, and a models file that is not used, end the wait at once.
    """
    started, agreeing = clock(), 0
    while True:
        described, reason = _describe(client, wanted.model)
        agreeing = agreeing + 1 if wanted.is_true(described) else 0
        if agreeing >= _AGREEING:
            return clock() - started
        failure = _failure(described, wanted.version) or _file_problem(client)
        if failure:
            raise ScriptError(f"The wait for {wanted} has ended: {failure}")
        if clock() - started > limit_s:
            raise ScriptError(
                f"After {limit_s:g} s, the gateway has {wanted.state(described)}; {wanted} was "
                f"waited for. {reason}".rstrip()
            )
        sleep(_PAUSE_S)


def _describe(client: GatewayClient, model: str) -> tuple[Mapping[str, Any], str]:
    """Return the description of a model and why it is not ready, as far as the gateway says."""
    try:
        described = client.model(model)
    except Refused as refused:
        return {}, refused.detail
    problem = described.get("error") or {}
    return described, str(problem.get("detail", ""))


def _failure(described: Mapping[str, Any], version: int | None) -> str:
    """Return why the version will not become available; empty if it may."""
    for status in described.get("versions", ()):
        if status["version"] == version and status["error"]:
            return f"version {version} cannot be used: {status['error']}"
    return ""


def _file_problem(client: GatewayClient) -> str:
    return str(client.models().get("models_file_problem", ""))
