"""Build problem+json responses without Flask, for requests that are not valid HTTP.

gunicorn's own error page and log line quote the request, which may contain an API key or an image.
No I/O: an error of gunicorn's parser in, the bytes of a response out.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from gunicorn.http import errors

from flask_server.web.body_limits import CODING_UNSUPPORTED
from flask_server.web.problem_documents import PROBLEM_JSON, RETRY_AFTER_S, document
from flask_server.web.unhandled import Unhandled

#: Maximum bytes of the request line and of each header; the line may list labels to choose from.
LONGEST_LINE = 8190
#: Maximum number of headers.
MOST_HEADERS = 100

_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG),
    (errors.LimitRequestHeaders, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    (errors.UnsupportedTransferCoding, HTTPStatus.NOT_IMPLEMENTED),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED),
)
_TOO_LARGE = {HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE}
_DETAIL = {
    HTTPStatus.REQUEST_URI_TOO_LONG: f"The request line is longer than {LONGEST_LINE} bytes.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        f"The headers are too large; at most {MOST_HEADERS} of {LONGEST_LINE} bytes each are "
        "allowed."
    ),
    HTTPStatus.NOT_IMPLEMENTED: CODING_UNSUPPORTED,
    HTTPStatus.EXPECTATION_FAILED: "The Expect header is not supported; allowed is 100-continue.",
}


def response(error: Exception, request_id: str, allowed_origin: str | None) -> bytes:
    """Return the bytes of the response, which announces that the connection is closed."""
    status = _status(error)
    usual = f"The request is not valid HTTP ({type(error).__name__})."
    return page(status, "bad_request", _DETAIL.get(status, usual), request_id, allowed_origin)


def reason(error: Exception) -> Unhandled:
    """Return the reason under which the request is counted."""
    return Unhandled.TOO_LARGE if _status(error) in _TOO_LARGE else Unhandled.MALFORMED


def page(
    status: HTTPStatus, code: str, detail: str, request_id: str, allowed_origin: str | None
) -> bytes:
    """Return the bytes of a response with a problem document, after which the connection closes."""
    body = json.dumps(document(status, code, detail, request_id)).encode("ascii")
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        f"Content-Type: {PROBLEM_JSON}",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
        *([f"Retry-After: {RETRY_AFTER_S}"] if status is HTTPStatus.SERVICE_UNAVAILABLE else []),
        *(_for_origin(allowed_origin) if allowed_origin else []),
    ]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def _status(error: Exception) -> HTTPStatus:
    return next((s for cls, s in _STATUS if isinstance(error, cls)), HTTPStatus.BAD_REQUEST)


def _for_origin(allowed: str) -> list[str]:
    return [
        f"Access-Control-Allow-Origin: {allowed}",
        "Access-Control-Expose-Headers: Retry-After, X-Request-ID",
        *(["Vary: Origin"] if allowed != "*" else []),
    ]
