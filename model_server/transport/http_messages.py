"""Read request heads and write responses as libevent's HTTP server does. Pure.

TensorFlow Serving uses libevent, so clients see its error pages, reason phrases and header order.
Heads are read more strictly than libevent does: a head that another program between client and
server could understand differently is malformed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"})

_REASONS: Final = {
    100: "Continue",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Time-out",
    409: "Conflict",
    413: "Request Entity Too Large",
    417: "Expectation Failed",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Time-out",
}
_VERSION: Final = re.compile(r"HTTP/(\d{1,9})\.(\d{1,9})", re.ASCII)
_URI_CHARACTERS: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/{}]|%[0-9A-Fa-f]{{2}})*"
#: Groups: the path; query and fragment. A scheme and an authority are allowed and ignored.
_URI: Final = re.compile(
    rf"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?(?://[^/?#]*)?"
    rf"({_URI_CHARACTERS.format('')})((?:\?{_URI_CHARACTERS.format('?')})?(?:#{_URI_CHARACTERS.format('?')})?)"
)

#: A header name (RFC 9110, 5.1); white space before the colon is not allowed.
_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_HEADS: Final = re.compile(r"[\0\r]")
MAX_LINES: Final = 1000
_LENGTH: Final = re.compile(r"[0-9]{1,18}", re.ASCII)

JSON: Final = (("Content-Type", "application/json"),)


class BadRequest(Exception):
    """The request is malformed, so the connection must be closed after the response."""


@dataclass(frozen=True, slots=True)
class Head:
    """The request line and headers of a request; header names are in lower case."""

    method: str
    target: str
    minor: int
    headers: Mapping[str, str]

    @property
    def keeps_alive(self) -> bool:
        """Tell whether the client wants to use the connection again."""
        connection = self.headers.get("connection", "").lower()
        return connection != "close" and (self.minor >= 1 or connection.startswith("keep-alive"))

    @property
    def is_chunked(self) -> bool:
        """Tell whether the body comes in chunks."""
        return "transfer-encoding" in self.headers

    @property
    def has_unknown_coding(self) -> bool:
        """Tell whether the body has a transfer coding besides chunks."""
        return self.is_chunked and self.headers["transfer-encoding"].lower() != "chunked"

    @property
    def length(self) -> int:
        """The content length, 0 without the header."""
        return int(self.headers.get("content-length", "0"))


@dataclass(frozen=True, slots=True)
class Request:
    """A complete HTTP request."""

    method: str

    path: str
    """The path without query and fragment."""

    target: str
    """Path, query and fragment; TensorFlow Serving matches its routes against all of it."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response; ``write_response`` adds the headers that HTTP needs."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = JSON
    closes: bool = False


def error_page(status: int) -> Response:
    """Return libevent's HTML page for an error; the connection is closed after it."""
    reason = _REASONS[status]
    body = (
        f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n"
        f"<H1>{reason}</H1>\n</BODY></HTML>\n"
    )
    headers = (("Content-Type", "text/html"), ("Connection", "close"))
    return Response(status, body.encode(), headers, closes=True)


def error_response(status: int, text: str, *headers: tuple[str, str]) -> Response:
    """Return a JSON error that closes the connection; ``text`` needs no escapes in JSON."""
    body = f'{{\n    "error": "{text}"\n}}'
    return Response(status, body.encode(), (*JSON, *headers, ("Connection", "close")), closes=True)


def read_head(data: bytes) -> Head:
    """Parse a request head that comes without its final blank line, or raise BadRequest."""
    first, *lines = data.decode("latin-1").split("\r\n")
    method, _, rest = first.rstrip(" ").partition(" ")
    target, blank, version = rest.rpartition(" ")
    match = _VERSION.fullmatch(version)
    if not (blank and target and match) or int(match[1]) > 1 or len(lines) > MAX_LINES:
        raise BadRequest
    headers: dict[str, str] = {}
    for line in _unfolded(lines):
        name, colon, value = line.partition(":")
        if not colon or not _NAME.fullmatch(name) or _NOT_IN_HEADS.search(value):
            raise BadRequest
        _add_header(headers, name.lower(), value.strip(" \t"))
    minor = int(match[2]) if int(match[1]) == 1 else 0
    _check_framing(headers, minor)
    return Head(method, target, minor, headers)


def _add_header(headers: dict[str, str], name: str, value: str) -> None:
    """Add a header unless it is there; the two that say where a body ends must not contradict."""
    if name == "transfer-encoding" and name in headers:
        value = f"{headers.pop(name)}, {value}"
    if headers.setdefault(name, value) != value and name == "content-length":
        raise BadRequest


def _check_framing(headers: Mapping[str, str], minor: int) -> None:
    """Raise BadRequest if the end of the body is unclear (RFC 9112, 6.3)."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is not None and (coding is not None or not _LENGTH.fullmatch(length)):
        raise BadRequest
    if coding is not None:
        codings = [name.strip(" \t").lower() for name in coding.split(",")]
        if minor == 0 or codings[-1] != "chunked" or codings.count("chunked") != 1:
            raise BadRequest


def _unfolded(lines: list[str]) -> list[str]:
    """Join continuation lines to the header they continue."""
    joined: list[str] = []
    for line in lines:
        if line.startswith((" ", "\t")) and joined:
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line)
    return joined


def read_target(target: str) -> tuple[str, str]:
    """Return the path, and the path with query and fragment, or raise BadRequest."""
    match = _URI.fullmatch(target)
    if match is None:
        raise BadRequest
    return match[1], match[1] + match[2]


def write_response(response: Response, head: Head | None) -> tuple[bytes, bool]:
    """Return the bytes of a response, and whether the connection stays open after it."""
    minor = 1 if head is None else head.minor
    asked_to_close = head is not None and head.headers.get("connection", "").lower() == "close"
    stays_open = head is not None and head.keeps_alive and not response.closes
    headers = [*response.headers]
    if minor >= 1:
        headers.append(("Date", formatdate(usegmt=True)))
    elif stays_open:
        headers.append(("Connection", "keep-alive"))
    if head is None or head.method != "HEAD":
        if minor >= 1 or stays_open:
            headers.append(("Content-Length", str(len(response.body))))
        if not any(name == "Content-Type" for name, _ in headers):
            headers.append(("Content-Type", "text/html; charset=ISO-8859-1"))
    if asked_to_close:
        headers = [pair for pair in headers if pair[0] != "Connection"]
        headers.append(("Connection", "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    reason = _REASONS.get(response.status, "Client Error")
    start = f"HTTP/1.{minor} {response.status} {reason}\r\n"
    return f"{start}{lines}\r\n".encode("latin-1") + response.body, stays_open
