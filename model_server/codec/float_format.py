"""Write floats as TensorFlow Serving does: six digits where they suffice, else nine or seventeen.

A text is short enough if it reads back as the same number. A whole number gets ``.0`` unless it has
an exponent; NaN and the infinities are bare words.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_server.codec import chunks, float32_format
from model_server.codec.float32_format import Mask

_SHORT: Final = "%g"
_SHORT_LIMIT: Final = 1e6  # larger numbers have an exponent in the short form
_WHOLE: Final = "%.1f"
#: By the size of the type in bytes. (Its name is a new string each time, and some of these strings
#: stay in memory between the texts, whose pages could then not be returned to the system.)
_FULL: Final = {4: ("%.9g", 1e9), 8: ("%.17g", 1e17)}
_NON_FINITE: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-nan": "NaN"}


def decimals(flat: NDArray[Any]) -> list[str]:
    """Return the text of each number of a one-dimensional float32 or float64 array."""
    if not len(flat):
        return []
    with np.errstate(all="ignore"):
        return [text for chunk in chunks.chunks(flat) for text in _format_chunk(chunk)]


def decimal_lists(rows: NDArray[Any]) -> list[str]:
    """Return the text of each row of a two-dimensional float array, separated by ``, ``."""
    step = max(1, chunks.SIZE // max(1, rows.shape[1]))
    starts = range(0, len(rows), step)
    return [text for start in starts for text in _format_rows(rows[start : start + step])]


def _format_rows(rows: NDArray[Any]) -> list[str]:
    if rows.dtype == np.float32 and 0 < rows.size <= chunks.SIZE:
        with np.errstate(all="ignore"):
            lists = float32_format.lists(rows)
        if lists is not None:
            return lists
    return [", ".join(decimals(row)) for row in rows]


def _format_chunk(flat: NDArray[Any]) -> list[str]:
    if flat.dtype != np.float32:
        return _format_numbers(flat)
    texts, is_exact = float32_format.texts(flat)
    remaining = np.flatnonzero(~is_exact)
    for index, text in zip(remaining.tolist(), _format_numbers(flat[remaining]), strict=True):
        texts[index] = text
    return texts


def _format_numbers(flat: NDArray[Any]) -> list[str]:
    full, full_limit = _FULL[flat.dtype.itemsize]
    size = np.abs(flat)
    is_whole = np.rint(flat) == flat
    is_small = is_whole & (size < _SHORT_LIMIT)
    texts = np.empty(len(flat), dtype=object)
    _write(texts, flat, is_small, _WHOLE)
    remaining = ~is_small
    remaining &= ~_write_short(texts, flat, remaining & _may_be_short(flat))
    is_big = is_whole & (size < full_limit) & remaining
    _write(texts, flat, is_big, _WHOLE)
    _write(texts, flat, remaining & ~is_big, full)
    for index in np.flatnonzero(~np.isfinite(flat)).tolist():
        texts[index] = _NON_FINITE[texts[index]]
    listed: list[str] = texts.tolist()
    return listed


def _formatted_with(values: NDArray[Any], form: str) -> list[str]:
    return ("\n".join([form] * len(values)) % tuple(values.tolist())).split("\n")


def _write(texts: NDArray[Any], flat: NDArray[Any], where: Mask, form: str) -> None:
    if where.any():
        texts[where] = _formatted_with(flat[where], form)


def _write_short(texts: NDArray[Any], flat: NDArray[Any], where: Mask) -> Mask:
    """Write six digits where they read back as the same number; return a mask of these."""
    indexes = np.flatnonzero(where)
    values = flat[indexes]
    short = _formatted_with(values, _SHORT) if len(indexes) else []
    same = np.array(list(map(float, short)), dtype=np.float64).astype(flat.dtype) == values
    texts[indexes] = short
    written = np.zeros(len(flat), dtype=np.bool_)
    written[indexes[same]] = True
    return written


def _may_be_short(flat: NDArray[Any]) -> Mask:
    """Return a mask of the numbers that six digits may be enough for.

    A number that is wrongly in the mask costs time; one that is wrongly missing would be written
    with too many digits.
    """
    wide = flat.astype(np.float64)
    places = 5 - np.floor(np.log10(np.abs(wide)))
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    rounded = np.rint(wide * up / down) * down / up
    short: Mask = (np.abs(places) > 22) | (rounded.astype(flat.dtype) == flat)
    short &= np.isfinite(flat)
    return short
