"""Estimate the memory that a JSON document takes while it is read and answered. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

#: A smaller document cannot be costly.
SMALL_BYTES: Final = 1 << 17
#: Documents that cost more are costly: other threads of Python wait while they are read.
COSTLY_BYTES: Final = 8 << 20

#: Bytes in memory for each of these: a number as a Python float, in two lists and as a tensor; a
#: list; an object with its list of members; half a string.
_WEIGHTS: Final = {b",": 64, b"[": 128, b"{": 384, b'"': 40}
#: numpy counts faster beyond this size, in slices that fit into a processor's cache.
_SLICE_BYTES: Final = 1 << 16
#: Searching for each occurrence is faster than counting up to this number, as in base64 text.
_FEW: Final = 64


def is_costly(document: bytes) -> bool:
    """Tell whether few documents like this one should be read at the same time."""
    return cost(document) > COSTLY_BYTES


def cost(document: bytes) -> int:
    """Return the bytes of memory that the document takes beside its text; 0 for a small one.

    Text in strings, such as base64, is not counted: it takes about as much as the document itself.
    """
    if len(document) < SMALL_BYTES:
        return 0
    return sum(count(document, mark) * weight for mark, weight in _WEIGHTS.items())


def marks(document: bytes) -> int:
    """Return how often the characters occur that begin a list, object, string or further value."""
    return sum(count(document, mark) for mark in _WEIGHTS)


def count(document: bytes, character: bytes) -> int:
    """Return how often a character occurs."""
    if len(document) < _SLICE_BYTES:
        return document.count(character)
    found, at = 0, document.find(character)
    while at >= 0 and found < _FEW:
        found, at = found + 1, document.find(character, at + 1)
    return found if at < 0 else _count_many(document, character)


def _count_many(document: bytes, character: bytes) -> int:
    codes = np.frombuffer(document, np.uint8)
    return sum(
        int(np.count_nonzero(codes[at : at + _SLICE_BYTES] == ord(character)))
        for at in range(0, len(codes), _SLICE_BYTES)
    )
