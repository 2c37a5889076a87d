"""Describe every error for the OpenAPI document: its code, its status and when it happens."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NamedTuple

from flask_server.web.problem_documents import PROBLEM_JSON

Schema = dict[str, Any]


class Case(NamedTuple):
    """One code of the problem documents."""

    status: int
    when: str


CASES: dict[str, Case] = {
    "bad_request": Case(400, "the request is not HTTP as it should be"),
    "invalid_json": Case(400, "the body is not JSON, or not an object"),
    "missing_image": Case(400, "there is no picture, or an empty one"),
    "invalid_base64": Case(400, "the text is not base64"),
    "invalid_parameter": Case(400, "a parameter is unknown or has a value that is not allowed"),
    "missing_api_key": Case(401, "keys are asked for and none came"),
    "invalid_api_key": Case(401, "the key is unknown or revoked"),
    "not_found": Case(404, "there is no such page"),
    "unknown_model": Case(404, "there is no such model"),
    "unknown_version": Case(404, "the model has no such version or version label"),
    "method_not_allowed": Case(405, "the route does not know the method"),
    "not_acceptable": Case(406, "no form of the answer is one that the caller takes"),
    "body_too_large": Case(413, "the body has more bytes than are read"),
    "image_too_large": Case(413, "the picture has more pixels than are decoded"),
    "too_many_images": Case(413, "the request has more pictures than are taken at once"),
    "unsupported_media_type": Case(415, "bodies of this type are not read"),
    "unsupported_image": Case(415, "the bytes are none of the picture formats"),
    "corrupt_image": Case(422, "the bytes begin like a picture but are damaged"),
    "rate_limited": Case(429, "the key has asked as much as it may for now"),
    "internal_error": Case(500, "a defect of the gateway; its log has it under the request id"),
    "serving_error": Case(502, "Serving answered an error or nonsense"),
    "keys_unavailable": Case(503, "the API keys cannot be read at the moment"),
    "overloaded": Case(503, "more is at work than can be done in time"),
    "serving_unavailable": Case(503, "Serving cannot be reached"),
    "model_not_ready": Case(503, "no version of the model is available yet"),
    "serving_timeout": Case(504, "the deadline passed before there was an answer"),
}

ANYWHERE = ("bad_request", "body_too_large", "internal_error")
WITH_KEYS = ("missing_api_key", "invalid_api_key", "rate_limited", "keys_unavailable")
PICTURE = (
    *("missing_image", "invalid_base64", "image_too_large", "unsupported_image", "corrupt_image"),
    *("serving_error", "overloaded", "serving_unavailable", "model_not_ready", "serving_timeout"),
)
QUESTION = (
    *("invalid_json", "invalid_parameter", "unknown_model", "unknown_version"),
    *("not_acceptable", "too_many_images", "unsupported_media_type"),
)

PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong, after RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What was received and what is allowed."},
        "code": {
            "type": "string",
            "enum": list(CASES),
            "description": "What programs may rely on:\n"
            + "\n".join(f"- `{code}` ({case.status}): {case.when}" for code, case in CASES.items()),
        },
        "request_id": {
            "type": "string",
            "description": "The same as in `X-Request-ID`; not in the state of a model.",
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


def answers(codes: Iterable[str]) -> dict[str, Schema]:
    """Return the response objects of these codes, by status."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CASES[code].status, []).append(code)
    return {str(status): _answer(status, by_status[status]) for status in sorted(by_status)}


def _answer(status: int, codes: list[str]) -> Schema:
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]}
    return {
        "description": "\n".join(f"- `{code}`: {CASES[code].when}" for code in codes),
        "headers": _headers(status),
        "content": {PROBLEM_JSON: {"schema": schema}},
    }


def _headers(status: int) -> Schema:
    names = ["X-Request-ID"]
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        names.append("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        names.append("WWW-Authenticate")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
