"""Read the fields of URL-encoded and multipart forms in bounded time and memory.

Every field keeps its bytes, with or without a file name. RFC 7578 (section 4.2) requires no file
name in a multipart part, so the content of a part decides whether it is an image or text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pybase64
from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.http import parse_options_header

from flask_server.errors import BodyTooLarge, MissingImage

URL_ENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

MAX_FIELDS = 1000
#: Maximum bytes of the header lines of one part of a multipart form, and of all of its parts.
MAX_PART_HEADER = 8192
MAX_PART_HEADERS = 256 * 1024

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(rb"\r\n|\n|\r")
#: The end of a line of a header that goes on in the next line.
_FOLD = re.compile(rb"(?:\r\n|\n|\r)[ \t]+")
_AFTER_BOUNDARY = re.compile(rb"(--)?[ \t]*(?:\r\n|\n|\r|\Z)")
#: A boundary without quotes. Some clients leave them out where ``/``, ``=`` or a space, at which a
#: parser of headers ends the value, requires them.
_BARE_BOUNDARY = re.compile(r';\s*boundary\s*=\s*([^\s",;][^,;]*)', re.IGNORECASE)
_CHARSETS = ("ascii", "us-ascii", "utf-8", "iso-8859-1")

_WHITE_SPACE = b" \t\r\n"
_PERCENT = ord("%")
#: The value of a hexadecimal digit by its byte, 16 for all other bytes.
_HEX = np.full(256, 16, np.uint8)
for _digit in "0123456789abcdefABCDEF":
    _HEX[ord(_digit)] = int(_digit, 16)
#: Bytes that are percent-decoded at once, so that the arrays beside them stay small.
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    name: str
    data: bytes
    has_filename: bool = False
    media_type: str = ""
    charset: str = "utf-8"

    @property
    def text(self) -> str:
        """The content as text; bytes that are not UTF-8 become U+FFFD."""
        return self.data.decode(self.charset, "replace")


def read_form(content_type: str, body: bytes) -> list[Field]:
    """Return the fields of a form, none for a body of another type.

    Raises BodyTooLarge for too many fields or too long headers of parts, and MissingImage for a
    malformed multipart form.
    """
    kind, options = parse_options_header(content_type)
    if kind.lower() == URL_ENCODED:
        return _url_encoded(body)
    if kind.lower() == MULTIPART:
        bare = _BARE_BOUNDARY.search(content_type)
        boundary = bare[1].rstrip() if bare else options.get("boundary", "")
        return list(_multipart(body, _delimiter(boundary)))
    return []


def form_of(request: Request) -> list[Field]:
    """Return the fields of a request's body."""
    return read_form(request.content_type or "", request.get_data(cache=False))


def texts_of(fields: Iterable[Field]) -> MultiDict[str, str]:
    """Return the text of the fields that came without a file name."""
    return MultiDict((field.name, field.text) for field in fields if not field.has_filename)


def _url_encoded(body: bytes) -> list[Field]:
    if body.count(b"&") >= MAX_FIELDS:
        if not body.isascii():
            return []  # a file under the wrong content type, which has no fields
        raise _too_many_fields()
    pairs = (field.partition(b"=") for field in body.split(b"&") if field)
    return [Field(_unquoted(name).decode("utf-8", "replace"), _unquoted(v)) for name, _, v in pairs]


def _unquoted(data: bytes) -> bytes:
    """Return URL-encoded bytes of a form decoded; ``+`` is a space there."""
    return percent_decoded(data.replace(b"+", b" "))


def percent_decoded(data: bytes) -> bytes:
    """Return URL-encoded bytes decoded; the standard library makes an object of every escape."""
    return b"".join(map(_piece_decoded, _pieces(data))) if b"%" in data else data


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut the bytes into pieces, never inside an escape."""
    start = 0
    while start < len(data):
        end = start + _PIECE
        last = data.rfind(b"%", end - 2, end)
        end = last if last > start else end
        yield data[start:end]
        start = end


def _piece_decoded(piece: bytes) -> bytes:
    levels = np.frombuffer(piece, np.uint8)
    at = np.flatnonzero(levels[:-2] == _PERCENT)
    high, low = _HEX[levels[at + 1]], _HEX[levels[at + 2]]
    valid = (high < 16) & (low < 16)
    at = at[valid]
    decoded, kept = levels.copy(), np.ones(len(levels), np.bool_)
    decoded[at] = high[valid] << 4 | low[valid]
    kept[at + 1] = kept[at + 2] = False
    return decoded[kept].tobytes()


def _delimiter(boundary: str) -> bytes:
    if not boundary:
        raise MissingImage(
            "The Content-Type multipart/form-data has no boundary. HTTP libraries set the whole "
            "header themselves when the caller does not set it."
        )
    return b"--" + boundary.encode("utf-8", "replace")


def _multipart(body: bytes, delimiter: bytes) -> Iterator[Field]:
    """Yield the fields between the delimiters of a multipart body (RFC 2046, section 5.1)."""
    if body.count(delimiter) > MAX_FIELDS + 1:
        raise _too_many_fields()
    start, headers = None, 0
    for begin, end, is_last in _delimiter_lines(body, delimiter):
        if start is not None:
            field, header_bytes = _part(body, start, begin)
            headers += header_bytes
            if headers > MAX_PART_HEADERS:
                raise BodyTooLarge(f"The form has more than {MAX_PART_HEADERS} bytes of headers.")
            yield field
        if is_last:
            return
        start = end
    if start is None:
        raise _malformed("its boundary does not occur in the body")
    raise _malformed("the boundary at its end is missing")


def _delimiter_lines(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield the start and end of each delimiter line, and whether it is the last one.

    The line end before a delimiter belongs to it.
    """
    at = body.find(delimiter)
    while at >= 0:
        begin = at - len(_line_end_before(body, at))
        after = _AFTER_BOUNDARY.match(body, at + len(delimiter))
        if after and (begin < at or at == 0):
            yield begin, after.end(), after[1] is not None
        at = body.find(delimiter, at + len(delimiter))


def _line_end_before(body: bytes, at: int) -> bytes:
    ends = (b"\r\n", b"\n", b"\r")
    return next((end for end in ends if body.endswith(end, 0, at)), b"")


def _part(body: bytes, start: int, end: int) -> tuple[Field, int]:
    """Return the field of the part that begins at ``start``, and the bytes of its header lines."""
    # An empty part may share the second line end of its blank line with the delimiter.
    blank = _BLANK_LINE.search(body, start, min(end + 2, start + MAX_PART_HEADER))
    if blank is None and end - start > MAX_PART_HEADER:
        raise BodyTooLarge(f"A part of the form has more than {MAX_PART_HEADER} bytes of header.")
    if blank is None:
        raise _malformed("a part has no header with a blank line after it")
    headers = dict(_headers(_FOLD.sub(b" ", body[start : blank.start()])))
    _, disposition = parse_options_header(headers.get("content-disposition"))
    if "name" not in disposition:
        raise _malformed("a part has no name in its Content-Disposition")
    media_type, options = parse_options_header(headers.get("content-type"))
    charset = options.get("charset", "").lower()
    field = Field(
        name=disposition["name"],
        data=_transferred(body[blank.end() : end], headers.get("content-transfer-encoding", "")),
        has_filename="filename" in disposition,
        media_type=media_type.lower(),
        charset=charset if charset in _CHARSETS else "utf-8",
    )
    return field, blank.end() - start


def _transferred(data: bytes, coding: str) -> bytes:
    """Return the content of a part without base64, which RFC 7578 (section 4.7) deprecates.

    Content that is no base64 stays as it is.
    """
    if coding.lower() != "base64":
        return data
    with suppress(ValueError):
        return pybase64.b64decode(data.translate(None, _WHITE_SPACE), validate=True)
    return data


def _headers(block: bytes) -> Iterator[tuple[str, str]]:
    for line in _LINE_END.split(block):
        name, _, value = line.decode("utf-8", "replace").partition(":")
        yield name.strip().lower(), value.strip()


def _too_many_fields() -> BodyTooLarge:
    return BodyTooLarge(f"The form has more than {MAX_FIELDS} fields.")


def _malformed(reason: str) -> MissingImage:
    return MissingImage(f"The multipart form is malformed: {reason}.")
