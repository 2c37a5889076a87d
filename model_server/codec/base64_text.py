"""Decode base64 as TensorFlow Serving does: padding is optional and white space is ignored."""

from __future__ import annotations

import re
from typing import Final

import pybase64

from model_server.errors import InvalidArgument

_SPACE: Final = re.compile(r"[ \t\n\v\f\r]+")
_DIGITS_AND_PADDING: Final = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")


def decode(text: str) -> bytes:
    """Return the decoded bytes, or raise InvalidArgument."""
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        return _decode_tolerantly(text)


def _decode_tolerantly(text: str) -> bytes:
    match = _DIGITS_AND_PADDING.fullmatch(_SPACE.sub("", text))
    if match is None:
        raise _decode_error()
    digits, padding = match.groups()
    missing = -len(digits) % 4
    if missing == 3 or len(padding) not in (0, missing):
        raise _decode_error()
    return pybase64.b64decode(digits + "=" * missing)


def _decode_error() -> InvalidArgument:
    return InvalidArgument("Unable to base64 decode")
