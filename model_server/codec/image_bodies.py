"""Read request bodies of base64 images without a JSON parser. Pure.

Such a body has an optional ``signature_name`` and then ``instances``, a list of nothing but
``{"b64": "…"}``. The gateway and most other clients send images this way. Any other body raises
FastPathMiss.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pybase64


class FastPathMiss(Exception):
    """This fast reader does not accept the body; another reader must read it."""


#: Enough for any usual indentation. The bound keeps a match short, as other threads wait for it.
_SPACE: Final = rb"[ \t\r\n]{0,64}"


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    """Return a pattern of the parts with optional white space between them."""
    return re.compile(_SPACE.join(parts))


_NAME: Final = _SPACE.join((rb'(?:"signature_name"', b":", rb'"(\w*)"', b",", b")?"))
#: The text before the first image, between two images, and after the last.
_HEAD: Final = _pattern(b"", b"{", _NAME + b'"instances"', b":", rb"\[", b"{", b'"b64"', b":", b'"')
_BETWEEN: Final = _pattern(b'"', b"}", b",", b"{", b'"b64"', b":", b'"')
_TAIL: Final = _pattern(b'"', b"}", rb"\]", b"}", rb"\Z")
#: Most images per body; other threads wait while many tiny ones are read.
_MAX_IMAGES: Final = 1 << 10


def read_images(body: bytes) -> dict[str, Any]:
    """Return the JSON object with each ``{"b64": "…"}`` decoded, or raise FastPathMiss."""
    head = _HEAD.match(body)
    if head is None:
        raise FastPathMiss
    images: list[bytes] = []
    match: re.Match[bytes] | None = head
    while match is not None:
        start = match.end()
        end = body.find(b'"', start)
        if end < 0 or len(images) == _MAX_IMAGES:
            raise FastPathMiss
        images.append(_decoded(memoryview(body)[start:end]))
        match = _BETWEEN.match(body, end)
    if not _TAIL.match(body, end):
        raise FastPathMiss
    return {"signature_name": (head[1] or b"").decode("ascii"), "instances": images}


def _decoded(text: memoryview) -> bytes:
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise FastPathMiss from error
