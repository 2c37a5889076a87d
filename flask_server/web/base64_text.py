"""Decode base64 text leniently, where the meaning is unambiguous.

Accepted are the standard and the URL-safe alphabet, with or without padding, line breaks, the head
of a data URL and URL-encoding (``%2B``). Every failure is MissingImage or InvalidBase64.
"""

from __future__ import annotations

import re

import pybase64

from flask_server.errors import InvalidBase64, MissingImage
from flask_server.web.forms import percent_decoded

_LINE_ENDS = b"\t\r\n\f\v"
_WHITE_SPACE = b" " + _LINE_ENDS
_STANDARD = bytes.maketrans(b"-_", b"+/")
_DATA_URL = re.compile(r"\s*data:[^,]{0,200};\s*base64\s*,", re.IGNORECASE)
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/=]")


def decode_base64(text: str, *, from_form: bool = False) -> bytes:
    """Return the decoded bytes.

    In a form field (``from_form``) a space is read as ``+``, which clients forget to URL-encode.
    """
    head = _DATA_URL.match(text)
    body = text[head.end() :] if head else text
    if "%" in body:  # no character of base64
        body = percent_decoded(body.encode("utf-8", "replace")).decode("utf-8", "replace")
    body = _without_head(body)  # an escaped one
    try:
        # Fast path for what most clients send: standard alphabet, padded, one line.
        if decoded := pybase64.b64decode(body, validate=True):
            return decoded
    except ValueError:
        pass
    return _forgiving(body, from_form=from_form)


def _forgiving(body: str, *, from_form: bool) -> bytes:
    """Decode text in any accepted variant; raise MissingImage or InvalidBase64."""
    try:
        data = body.encode("ascii")
    except UnicodeEncodeError as error:
        raise _foreign(body[error.start]) from error
    if from_form:
        data = _with_lost_plus(data)
    data = data.translate(_STANDARD, _WHITE_SPACE).rstrip(b"=")
    if not data:
        raise MissingImage("The image is empty; allowed is a base64 string.")
    return _decode(data)


def _with_lost_plus(data: bytes) -> bytes:
    """Replace spaces by plus signs; drop them at the ends of a text of complete length."""
    lines = data.translate(None, _LINE_ENDS)
    bare = lines.strip(b" ")
    return (lines if len(bare) % 4 else bare).replace(b" ", b"+")


def _without_head(text: str) -> str:
    head = _DATA_URL.match(text)
    if head:
        return text[head.end() :]
    if text.lstrip()[:5].lower() == "data:":
        raise InvalidBase64("The data URL is not base64; allowed is data:image/…;base64,…")
    return text


def _decode(data: bytes) -> bytes:
    foreign = _FOREIGN.search(data)
    if foreign:
        raise _foreign(foreign.group().decode())
    if b"=" in data:
        raise InvalidBase64("The base64 text continues after its padding (=).")
    if len(data) % 4 == 1:
        raise InvalidBase64(f"{len(data)} base64 characters are no whole number of bytes.")
    return pybase64.b64decode(data + b"=" * (-len(data) % 4))


def _foreign(character: str) -> InvalidBase64:
    return InvalidBase64(f"{character!r} is not base64; allowed are A-Z a-z 0-9 + / - _ =.")
