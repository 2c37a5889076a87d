"""Decode base64 as TensorFlow Serving does: padding optional, white space skipped."""

from __future__ import annotations

import re
from typing import Final

import pybase64

from model_server.errors import InvalidArgument

_SPACE: Final = re.compile(r"[ \t\n\v\f\r]+")
_SHAPE: Final = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")


def decode(text: str) -> bytes:
    """Return the bytes behind the text, or raise InvalidArgument."""
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        return _decode_patiently(text)


def _decode_patiently(text: str) -> bytes:
    match = _SHAPE.fullmatch(_SPACE.sub("", text))
    if match is None:
        raise _undecodable()
    digits, padding = match.groups()
    missing = -len(digits) % 4
    if missing == 3 or len(padding) not in (0, missing):
        raise _undecodable()
    return pybase64.b64decode(digits + "=" * missing)


def _undecodable() -> InvalidArgument:
    return InvalidArgument("Unable to base64 decode")
