"""Describe the gateway's HTTP API as an OpenAPI 3.1 document.

Plain data, made from the settings: what a deployment does not do (keys that are off) is not in its
document. The tests hold it against the routes and validate real answers with it.
"""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any

from flask_server.access.authentication import is_open
from flask_server.errors import Scope
from flask_server.openapi import problems as problems
from flask_server.openapi.operations import operations
from flask_server.openapi.schemas import SCHEMAS
from flask_server.settings import Settings

Schema = dict[str, Any]

DISTRIBUTION = "image-classification-gateway"

_DESCRIPTION = """\
Pictures go in, labels come out. Every error is an RFC 9457 problem document whose `code` never
changes once released. Every answer carries `X-Request-ID` (yours, if you sent one) and
`Server-Timing`."""

_TAGS = {
    "predictions": "What a picture shows.",
    "models": "Which models there are and what they want.",
    "health": "For orchestrators, load balancers and monitoring.",
    "pages": "What people look at, and this description.",
}

_SECURITY: Schema = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a token."},
}

_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "Names the request in the log.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    },
    "Server-Timing": {
        "description": "Milliseconds by stage: decode, preprocess, serving, postprocess, total."
        " Several pictures are prepared side by side; one thread's share of them counts.",
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Names this state of the answer.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to present a key.", "schema": {"type": "string"}},
    "X-Model-Warning": {
        "description": "What the answer must be read with, where there is something.",
        "schema": {"type": "string"},
    },
}


def document(settings: Settings, model: str) -> Schema:
    """Return the document of a gateway with these settings; ``model`` is one to try."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image classification gateway",
            "version": version_of(DISTRIBUTION),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {
            path: {method: _guarded(path, op, settings) for method, op in item.items()}
            for path, item in operations(settings, model).items()
        },
        "components": {
            "schemas": SCHEMAS,
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


@cache
def version_of(distribution: str) -> str:
    """Return the version of an installed distribution; ``0`` where only its files are there."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "0"


def _guarded(path: str, operation: Schema, settings: Settings) -> Schema:
    """Add what keys mean for the operation, where there are keys and it needs one."""
    if settings.api_keys_file is None or is_open(path):
        return operation
    refusals = problems.in_scope(Scope.API_KEY)
    return operation | {
        "security": [{scheme: []} for scheme in _SECURITY],
        "responses": problems.with_codes(operation["responses"], refusals),
    }
