"""Describe the gateway's HTTP API as an OpenAPI 3.1 document.

The document depends on the settings: it describes API keys only where they are turned on. Tests
compare it with the routes and validate real responses with it.
"""

from __future__ import annotations

from collections.abc import Collection

from flask_server.access.authentication import is_open
from flask_server.errors import InvalidApiKey, Scope
from flask_server.openapi import problems as problems
from flask_server.openapi import requests as requests
from flask_server.openapi.operations import operations
from flask_server.openapi.schema_parts import Schema
from flask_server.openapi.schemas import SCHEMAS
from flask_server.settings import Settings
from model_catalog.version import VERSION

_DESCRIPTION = """\
Classifies images. Every error is an RFC 9457 problem document whose `code` never changes once
released. Every response has the header `X-Request-ID` (yours, if you sent one); all but refusals
before the request is read have `Server-Timing`."""

_TAGS = {
    "predictions": "Classify images and explain the result.",
    "models": "List the models and describe their input and labels.",
    "health": "Health checks and metrics for orchestrators, load balancers and monitoring.",
    "pages": "Web pages, and this document.",
}

_SECURITY: Schema = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a token."},
}

_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "The id of the request, also in the gateway's log.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    },
    "Server-Timing": {
        "description": "Milliseconds by stage: decode, preprocess, serving, postprocess, total."
        " Several images are prepared in parallel; only the time of one thread counts.",
        "schema": {"type": "string"},
    },
    "ETag": {"description": "Identifies this state of the response.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": "What is left of each quota of the API key: `r` requests in a window that "
        "ends in `t` seconds. A structured field.",
        "schema": {"type": "string", "examples": ['"second";r=9;t=1, "day";r=4711;t=50400']},
    },
    "RateLimit-Policy": {
        "description": "The quotas of the API key: `q` requests in a window of `w` seconds. A "
        "structured field.",
        "schema": {"type": "string", "examples": ['"second";q=10;w=1, "day";q=5000;w=86400']},
    },
    "WWW-Authenticate": {"description": "How to send an API key.", "schema": {"type": "string"}},
    "X-Model-Warning": {
        "description": "Warnings about the model, if there are any.",
        "schema": {"type": "string"},
    },
    "X-Model-Version": {
        "description": "The model version, if the split of the model chose it.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-Model-Version-Label": {
        "description": "The version label that the split of the model chose, percent-encoded.",
        "schema": {"type": "string"},
    },
}

#: The headers of responses to counted requests; ``access.quota_headers`` writes them.
_QUOTA_HEADERS = ("RateLimit", "RateLimit-Policy")


def document(settings: Settings, model: str, open_paths: Collection[str] = ()) -> Schema:
    """Return the document of a gateway with these settings.

    ``model`` is the name in examples, ``open_paths`` are those that need no key.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Image classification gateway",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {
            path: {method: _guarded(path, op, settings, open_paths) for method, op in item.items()}
            for path, item in operations(settings, model).items()
        },
        "components": {
            "schemas": SCHEMAS | requests.schemas(settings),
            "headers": _HEADERS,
            "securitySchemes": _SECURITY,
        },
    }


def _guarded(
    path: str, operation: Schema, settings: Settings, open_paths: Collection[str]
) -> Schema:
    """Add API keys and their errors to the operation if it needs one."""
    if settings.api_keys_file is None or is_open(path, open_paths):
        return operation
    responses = problems.with_codes(operation["responses"], problems.in_scope(Scope.API_KEY))
    return operation | {
        "security": [{scheme: []} for scheme in _SECURITY],
        "responses": {status: _counted(status, answer) for status, answer in responses.items()},
    }


def _counted(status: str, response: Schema) -> Schema:
    """Add the headers of quotas to a response, unless it refuses a caller without a valid key."""
    if status == str(InvalidApiKey.status.value):
        return response
    quotas = {name: {"$ref": f"#/components/headers/{name}"} for name in _QUOTA_HEADERS}
    return response | {"headers": response["headers"] | quotas}
