"""Describe every error for the OpenAPI document, as its class in ``errors`` says."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus

from flask_server.errors import GatewayError, Scope, kinds
from flask_server.openapi.schema_parts import Schema
from flask_server.web.problem_documents import HEADERS, PROBLEM_JSON

#: Every error that has a code, by its code.
BY_CODE: dict[str, type[GatewayError]] = {kind.code: kind for kind in kinds()}

#: The extension of a response object that lists the codes of its status.
CODES = "x-codes"

PROBLEM: Schema = {
    "type": "object",
    "description": "An error as in RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "The reason phrase of the status."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "A sentence about the error; it may change."},
        "code": {
            "type": "string",
            "enum": list(BY_CODE),
            "description": "The kind of error; it never changes:\n"
            + "\n".join(f"- `{kind.code}` ({kind.status:d}): {kind.when}" for kind in kinds()),
        },
        "request_id": {
            "type": "string",
            "description": (
                "The value of `X-Request-ID`; absent where the error is part of a model's state."
            ),
        },
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "There is no parameter 'topk'; allowed are image, images, top_k.",
            "code": "invalid_parameter",
            "request_id": "3e1bd4ad5a494cd2b5cbd7a33d1a1c6c",
        }
    ],
}


@cache
def in_scope(*scopes: Scope) -> tuple[str, ...]:
    """Return the codes of the errors with one of these scopes."""
    return tuple(kind.code for kind in BY_CODE.values() if kind.scope in scopes)


def answers(codes: Iterable[str]) -> dict[str, Schema]:
    """Return the response objects of these codes, by status."""
    by_status: dict[HTTPStatus, list[str]] = {}
    for code in codes:
        by_status.setdefault(BY_CODE[code].status, []).append(code)
    return {str(status.value): _answer(status, by_status[status]) for status in sorted(by_status)}


def with_codes(responses: dict[str, Schema], codes: Iterable[str]) -> dict[str, Schema]:
    """Return the responses of an operation that may answer these codes, too."""
    known = [code for response in responses.values() for code in _codes(response)]
    return responses | answers((*known, *codes))


def _codes(response: Schema) -> list[str]:
    """Return the codes of one response object, none where it is no error."""
    return list(response.get(CODES, ()))


def _answer(status: HTTPStatus, codes: list[str]) -> Schema:
    # The codes are no part of the schema: code generators would write classes for each response.
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": "\n".join(f"- `{code}`: {BY_CODE[code].when}" for code in codes),
        "headers": _headers(status),
        "content": {PROBLEM_JSON: {"schema": schema}},
        CODES: codes,
    }


def _headers(status: HTTPStatus) -> Schema:
    names = ["X-Request-ID", *([HEADERS[status]] if status in HEADERS else [])]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
