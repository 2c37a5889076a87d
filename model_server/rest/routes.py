"""Read request paths: the model, its version or label, and the verb. Pure.

As in TensorFlow Serving, the query is part of the path that is matched. Upper and lower case are
equal, except in the verb and the word ``metadata``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote_to_bytes

from model_server.errors import InvalidArgument
from model_server.models.registry import ModelRequest

_API: Final = re.compile(r"/v1/.*", re.IGNORECASE)
_VERSION_OR_LABEL: Final = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_INFERENCE: Final = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_VERSION_OR_LABEL}:(?P<verb>classify|regress|predict)",
    re.IGNORECASE | re.ASCII,
)
_MODEL_INFO: Final = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION_OR_LABEL}(?:/(?P<verb>metadata))?",
    re.IGNORECASE | re.ASCII,
)
_PATTERNS: Final = {"POST": _INFERENCE, "GET": _MODEL_INFO}
_MAX_VERSION: Final = 2**63 - 1


class BadRequestWithoutBody(Exception):
    """The response is a 400 without a body, as TensorFlow Serving sends it for such a path."""


class Verb(StrEnum):
    """The kinds of requests."""

    PREDICT = "predict"
    CLASSIFY = "classify"
    REGRESS = "regress"
    METADATA = "metadata"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Route:
    """The meaning of a request path."""

    verb: Verb

    servable: ModelRequest
    """The model, and its version or label if the path has one."""


def is_api(target: str) -> bool:
    """Tell whether a path belongs to the REST API."""
    return _API.fullmatch(target) is not None


def read_route(method: str, target: str) -> Route:
    """Return the route of a path under /v1/, or raise InvalidArgument or BadRequestWithoutBody."""
    pattern = _PATTERNS.get(method)
    match = pattern.fullmatch(target) if pattern else None
    if match is None or (method == "POST" and match["verb"] not in set(Verb)):
        raise InvalidArgument(f"Malformed request: {method} {target}")
    version = None if match["version"] is None else _version(match["version"])
    if match["model"] is None:
        raise InvalidArgument("Missing model name in request.")
    label = None if match["label"] is None else _percent_decoded(match["label"])
    verb = Verb(match["verb"]) if match["verb"] in set(Verb) else Verb.STATUS
    return Route(verb, ModelRequest(_percent_decoded(match["model"]), version, label))


def _version(digits: str) -> int:
    significant = digits.lstrip("0") or "0"
    if len(significant) > len(str(_MAX_VERSION)) or int(significant) > _MAX_VERSION:
        raise BadRequestWithoutBody
    return int(significant)


def _percent_decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")
