"""Give every error its status and its problem+json document (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, json
from werkzeug.exceptions import HTTPException

from flask_server.errors import (
    BodyTooLarge,
    CorruptImage,
    GatewayError,
    ImageTooLarge,
    InvalidApiKey,
    InvalidBase64,
    InvalidJson,
    InvalidParameter,
    KeysUnavailable,
    MissingApiKey,
    MissingImage,
    ModelNotReady,
    NotAcceptable,
    Overloaded,
    RateLimited,
    ServingError,
    ServingTimeout,
    ServingUnavailable,
    TooManyImages,
    UnknownModel,
    UnknownVersion,
    UnsupportedImage,
    UnsupportedMediaType,
)

PROBLEM_JSON = "application/problem+json"

STATUS: dict[type[GatewayError], HTTPStatus] = {
    InvalidJson: HTTPStatus.BAD_REQUEST,
    MissingImage: HTTPStatus.BAD_REQUEST,
    InvalidBase64: HTTPStatus.BAD_REQUEST,
    InvalidParameter: HTTPStatus.BAD_REQUEST,
    MissingApiKey: HTTPStatus.UNAUTHORIZED,
    InvalidApiKey: HTTPStatus.UNAUTHORIZED,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    KeysUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    UnknownModel: HTTPStatus.NOT_FOUND,
    UnknownVersion: HTTPStatus.NOT_FOUND,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ImageTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooManyImages: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UnsupportedImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    CorruptImage: HTTPStatus.UNPROCESSABLE_ENTITY,
    ServingError: HTTPStatus.BAD_GATEWAY,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    ServingUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ModelNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    ServingTimeout: HTTPStatus.GATEWAY_TIMEOUT,
}

#: Codes for what the web framework itself refuses.
_HTTP_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    # Werkzeug's own bounds: more than 1000 parts in one form.
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal_error",
}

RETRY_AFTER_S = 1

#: How to authenticate (RFC 6750); ``X-API-Key`` does the same and has no registered scheme.
_CHALLENGES: dict[type[GatewayError], str] = {
    MissingApiKey: 'Bearer realm="image gateway"',
    InvalidApiKey: 'Bearer realm="image gateway", error="invalid_token"',
}


def init_app(app: Flask) -> None:
    """Answer every error of the app as problem+json."""
    app.register_error_handler(GatewayError, answer_gateway_error)
    app.register_error_handler(HTTPException, answer_http_error)


def status_of(error: GatewayError) -> HTTPStatus:
    """Return the status of the error's class, or of the nearest class above it."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def problem(error: GatewayError) -> dict[str, Any]:
    """Return the problem document of one error."""
    return document(status_of(error), error.code, str(error), g.request_id)


def answer_gateway_error(error: GatewayError) -> Response:
    """Answer with the status and code that belong to the error's class."""
    if isinstance(error, ServingError):
        current_app.logger.warning("%s: %s", error.code, error)
    response = problem_response(problem(error))
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if type(error) in _CHALLENGES:
        response.headers["WWW-Authenticate"] = _CHALLENGES[type(error)]
    return response


def answer_http_error(error: HTTPException) -> Response:
    """Answer what Flask refuses by itself, and defects of ours, in the same form."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    code = _HTTP_CODES.get(status, "bad_request")
    response = problem_response(document(status, code, _sentence(error, status), g.request_id))
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def problem_response(problem: dict[str, Any]) -> Response:
    """Wrap a problem document into its response."""
    response = Response(json.dumps(problem), problem["status"], content_type=PROBLEM_JSON)
    if problem["status"] == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def document(status: HTTPStatus, code: str, detail: str, request_id: str) -> dict[str, Any]:
    """Return a problem document."""
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }


def _sentence(error: HTTPException, status: HTTPStatus) -> str:
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"A defect of the gateway; its log tells more under request id {g.request_id}."
    return error.description or status.phrase
