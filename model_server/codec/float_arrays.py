"""Read long lists of JSON numbers straight into arrays, without a Python object per number.

A list such as ``[[0.12, -3.5], [1, 2e-05]]`` is looked at as bytes: the brackets must form a
regular shape, the numbers must follow JSON's grammar, and eight digits at a time become integers
by arithmetic on whole machine words. The work is numpy's, so other threads go on meanwhile.

Whatever is not plainly such a list raises Doubt; nothing is ever guessed. Results may be off by
the last bits of a double, which a float32 does not show.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Doubt(Exception):
    """A fast way of reading cannot be sure; a slower one must decide."""


@dataclass(frozen=True, slots=True)
class NumberBlock:
    """A regular list of numbers, already in an array."""

    values: NDArray[np.float64]

    whole: bool
    """Tells that every number was written without point and exponent."""


Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

_NUMBER: Final = re.compile(
    rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE](?:\+?[0-9]{1,2}|-[0-9]{1,3}))?"
)
_NUMERALS: Final = b"0123456789.+-eE"
_SPACES: Final = b" \t\r\n"
_GAPS: Final = re.compile(rb"[-+.0-9eE][ \t\r\n]+[-+.0-9eE]")
_SEPARATORS: Final = bytes(char in b",[] " for char in range(256))
#: Bytes of the text that are worked on at a time; small enough for the processor's cache.
_PIECE: Final = 1 << 19
_WORD: Final = 8
_MAX_DEPTH: Final = 32
_PADDING: Final = b"," * 4 * _WORD
_MAX_FRACTION: Final = 3 * _WORD
_LOW_NIBBLES: Final = np.uint64(0x0F0F0F0F0F0F0F0F)


def read_block(text: bytes) -> NumberBlock:
    """Return the numbers of a list of lists, from its first bracket to its last."""
    if any(space in text for space in (b"\n", b"\t", b"\r")):
        text = _squeezed(text)
    shape = _shape(text.translate(None, _NUMERALS + b" "))
    pieces = [_numbers(piece) for piece in _pieces(text)]
    values = np.concatenate([piece.values for piece in pieces])
    if len(values) != math.prod(shape):
        raise Doubt
    return NumberBlock(values.reshape(shape), all(piece.whole for piece in pieces))


def _squeezed(text: bytes) -> bytes:
    """Take white space out of an indented list; between two numbers it may not stand alone."""
    if _GAPS.search(text):
        raise Doubt
    return text.translate(None, _SPACES)


def _shape(skeleton: bytes) -> tuple[int, ...]:
    """Return the sizes of the lists, given nothing but their brackets and commas."""
    depth = len(skeleton) - len(skeleton.lstrip(b"["))
    if not 1 <= depth <= _MAX_DEPTH:
        raise Doubt
    sizes: list[int] = []
    unit = b""
    for level in range(depth):
        start = depth - 1 - level
        end = skeleton.find(b"]" * (level + 1), start) + level
        size, rest = divmod(end - start, len(unit) + 1)
        if rest or size < 1:
            raise Doubt
        unit = b"[" + (unit + b",") * (size - 1) + unit + b"]"
        sizes.insert(0, size)
    if unit != skeleton:
        raise Doubt
    return tuple(sizes)


def _pieces(text: bytes) -> Iterator[bytes]:
    """Cut the text at commas."""
    start = 0
    while start < len(text):
        end = text.find(b",", start + _PIECE)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _numbers(piece: bytes) -> NumberBlock:
    padded = bytearray(_PADDING + piece + _PADDING)
    between = np.frombuffer(padded.translate(_SEPARATORS), dtype=np.bool_)
    edges = np.flatnonzero(between[1:] != between[:-1]) + 1
    starts, ends = edges[0::2], edges[1::2]
    odd = _take_exponents(padded, starts, ends)
    chars = np.frombuffer(padded, dtype=np.uint8)
    minus = chars[starts] == ord("-")
    heads = starts + minus
    dots = _dots(chars, heads, ends)
    _check_places(chars, starts, ends)
    _check_grammar(chars, heads, dots, ends)
    values = _values(padded, heads, dots, ends)
    np.negative(values, out=values, where=minus)
    is_whole = dots == ends
    values[is_whole & (values == 0)] = 0  # a whole number has no negative zero
    for index, value in odd.items():
        values[index] = value
    return NumberBlock(values, not odd and bool(is_whole.all()))


def _take_exponents(padded: bytearray, starts: Ints, ends: Ints) -> dict[int, float]:
    """Read the few numbers that have an exponent, and put plain ones in their place."""
    chars = np.frombuffer(bytes(padded), dtype=np.uint8)
    marks = np.flatnonzero((chars | 0x20) == ord("e"))
    if len(marks) > len(starts) // 8 + 16:
        raise Doubt
    found: dict[int, float] = {}
    for index in (np.searchsorted(starts, marks, side="right") - 1).tolist():
        start, end = int(starts[index]), int(ends[index])
        token = bytes(padded[start:end])
        value = float(token) if _NUMBER.fullmatch(token) else math.inf
        if math.isinf(value) or index in found:
            raise Doubt
        found[index] = value
        padded[start:end] = b"1." + b"1" * (end - start - 2)
    return found


def _dots(chars: NDArray[np.uint8], heads: Ints, ends: Ints) -> Ints:
    """Return where the point of each number is; numbers without one end there."""
    found = np.flatnonzero(chars == ord("."))
    if len(found) == len(heads) and ((found > heads) & (found < ends)).all():
        return found
    owners = np.searchsorted(heads, found, side="right") - 1
    if (owners < 0).any() or (np.diff(owners) == 0).any():
        raise Doubt
    dots = ends.copy()
    dots[owners] = found
    return dots


def _check_places(chars: NDArray[np.uint8], starts: Ints, ends: Ints) -> None:
    """Raise Doubt unless each number stands behind a comma or bracket, and before one."""
    before, after = chars[starts - 1], chars[ends]
    spaced = before == ord(" ")
    if spaced.any():
        before = np.where(spaced, chars[starts - 2], before)
    opened = (before == ord(",")) | (before == ord("["))
    closed = (after == ord(",")) | (after == ord("]"))
    if not (opened & closed).all():
        raise Doubt


def _check_grammar(chars: NDArray[np.uint8], heads: Ints, dots: Ints, ends: Ints) -> None:
    """Raise Doubt unless each number is digits, with at most a point and digits behind it."""
    digit_count = np.count_nonzero(chars - np.uint8(ord("0")) < 10)
    dot_count = np.count_nonzero(dots < ends)
    if digit_count + dot_count != int((ends - heads).sum()):
        raise Doubt
    whole, fraction = dots - heads, ends - dots - 1
    leading_zero = (whole > 1) & (chars[heads] == ord("0"))
    sound = (whole >= 1) & (whole <= _WORD) & (fraction != 0) & (fraction <= _MAX_FRACTION)
    if not sound.all() or leading_zero.any():
        raise Doubt


def _values(padded: bytearray, heads: Ints, dots: Ints, ends: Ints) -> NDArray[np.float64]:
    words: Words = np.ndarray((len(padded) - _WORD + 1,), dtype="<u8", buffer=padded, strides=(1,))
    unused = (8 * (_WORD - (dots - heads))).astype(np.uint64)
    wholes = words[dots - _WORD] & _LOW_NIBBLES
    values = _eight_digits(wholes >> unused << unused)
    places = ends - dots - 1
    for block in range(math.ceil(max(int(places.max(initial=0)), 0) / _WORD)):
        used = np.clip(places - block * _WORD, 0, _WORD)
        unused = (8 * (_WORD - used)).astype(np.uint64)
        part = words[np.minimum(dots + 1 + block * _WORD, len(words) - 1)] & _LOW_NIBBLES
        values += _eight_digits(part << unused >> unused) / 10.0 ** (_WORD * (block + 1))
    return values


def _eight_digits(words: Words) -> NDArray[np.float64]:
    """Return the numbers that eight digits make, the first digit in the lowest byte."""
    words = words * np.uint64(2561) >> np.uint64(8)
    words &= np.uint64(0x00FF00FF00FF00FF)
    words = words * np.uint64(6553601) >> np.uint64(16)
    words &= np.uint64(0x0000FFFF0000FFFF)
    words = words * np.uint64(42949672960001) >> np.uint64(32)
    return words.astype(np.float64)
