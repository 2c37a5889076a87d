"""Answer every error as a problem+json document (RFC 9457), made from the error's class."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, json
from werkzeug.exceptions import HTTPException

from flask_server.errors import (
    FrameworkError,
    GatewayError,
    InvalidApiKey,
    MalformedRequest,
    Overloaded,
    RateLimited,
    ServingError,
    kinds,
)
from flask_server.web import request_context

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1

#: The header that every problem document of a status comes with.
HEADERS = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.TOO_MANY_REQUESTS: "Retry-After",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After",
}

#: Error codes of the statuses that Flask itself raises; any other status is a bad_request.
_FRAMEWORK_CODES = {kind.status: kind.code for kind in kinds(FrameworkError)}

#: How to authenticate (RFC 6750); ``X-API-Key`` does the same and has no registered scheme.
_CHALLENGE = 'Bearer realm="image gateway"'


def init_app(app: Flask) -> None:
    """Answer every error of the app as problem+json."""
    app.register_error_handler(GatewayError, answer_gateway_error)
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(MemoryError, answer_memory_error)


def problem(error: GatewayError) -> dict[str, Any]:
    """Return the problem document of one error, with the id of the current request."""
    return document(error.status, error.code, str(error), request_context.current().request_id)


def answer_gateway_error(error: GatewayError) -> Response:
    """Answer with the status and code that belong to the error's class."""
    if isinstance(error, ServingError):
        current_app.logger.warning("%s: %s", error.code, error.for_log)
    response = problem_response(problem(error))
    if isinstance(error, RateLimited):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.status is HTTPStatus.UNAUTHORIZED:
        invalid = isinstance(error, InvalidApiKey)
        response.headers["WWW-Authenticate"] = _CHALLENGE + invalid * ', error="invalid_token"'
    return response


def answer_memory_error(error: MemoryError) -> Response:
    """Answer a request for which the process has no memory left: a later one may succeed."""
    # The traceback keeps the frames, and with them the images, until the error is forgotten.
    error.__traceback__ = None
    current_app.logger.warning("overloaded: the process has no memory for this request")
    return answer_gateway_error(Overloaded("There is not enough memory for this request now."))


def answer_http_error(error: HTTPException) -> Response:
    """Answer errors that Flask raises, and unexpected exceptions, as problem documents."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    code = _FRAMEWORK_CODES.get(status, MalformedRequest.code)
    request_id = request_context.current().request_id
    detail = _sentence(error, status, request_id)
    response = problem_response(document(status, code, detail, request_id))
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


def _sentence(error: HTTPException, status: HTTPStatus, request_id: str) -> str:
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"The gateway has a defect; its log has the details under request id {request_id}."
    return error.description or status.phrase
