"""Read the bodies that images come in straight into bytes, without a string for each. Pure.

That is a list of nothing but ``{"b64": "…"}``, as our gateway sends it and most callers do.
Whatever is not plainly such a body raises FastPathMiss; nothing is ever guessed.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pybase64


class FastPathMiss(Exception):
    """A fast reader does not apply to this body; the exact parser must read it."""


#: As much as any indentation; megabytes of it would keep other threads waiting.
_SPACE: Final = rb"[ \t\r\n]{0,64}"


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    """Return the pattern of parts that may have white space between them."""
    return re.compile(_SPACE.join(parts))


_NAME: Final = _SPACE.join((rb'(?:"signature_name"', b":", rb'"(\w*)"', b",", b")?"))
#: Up to the text of the first picture, from one to the next, and behind the last.
_HEAD: Final = _pattern(b"", b"{", _NAME + b'"instances"', b":", rb"\[", b"{", b'"b64"', b":", b'"')
_BETWEEN: Final = _pattern(b'"', b"}", b",", b"{", b'"b64"', b":", b'"')
_TAIL: Final = _pattern(b'"', b"}", rb"\]", b"}", rb"\Z")
#: Most images; many tiny ones would do that, too.
_MAX_IMAGES: Final = 1 << 10


def read_images(body: bytes) -> dict[str, Any]:
    """Return the document with bytes in place of each ``{"b64": "…"}``, or raise FastPathMiss."""
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
