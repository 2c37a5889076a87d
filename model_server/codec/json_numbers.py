"""Read numbers in TensorFlow Serving's JSON dialect: grammar, integer or float, limits. Pure."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import orjson

#: Sign, whole part, fraction and exponent. A fraction or exponent without digits also matches, so
#: that the parser can report it.
NUMBER: Final = re.compile(rb"(-?)(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]*)?")

_MAX_EXPONENT: Final = 308
#: Up to 4,001 numbers of common size with commas between them. The number is bounded because other
#: threads wait while a regular expression or orjson runs. The repetition is not possessive: Python
#: 3.11.2, which Debian ships, can end a possessive repetition within a number.
_PLAIN_NUMBER: Final = (
    rb"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,60})?(?:[eE][+-]?[0-9]{1,2})?(?=[ \t\r\n,\]])"
)
RUN: Final = re.compile(rb"%b(?:[ \t\r\n]*,[ \t\r\n]*%b){0,4000}" % (_PLAIN_NUMBER, _PLAIN_NUMBER))
#: Up to 301 short lists, such as pixels. Only the characters are checked; orjson checks numbers.
_SHORT_LIST: Final = rb"\[[-+.0-9eE, \t\r\n]{0,1000}\]"
LIST_RUN: Final = re.compile(rb"%b(?:[ \t\r\n]*,[ \t\r\n]*%b){0,300}" % (_SHORT_LIST, _SHORT_LIST))


def read_run(text: bytes) -> list[Any]:
    """Return the numbers of a text that RUN matches."""
    numbers: list[Any] = orjson.loads(b"[%b]" % text)
    return numbers


def read_list_run(text: bytes) -> list[Any] | None:
    """Return the lists of a text that LIST_RUN matches; None if a number may be invalid."""
    if may_have_zero_with_exponent(text):
        return None
    try:
        lists: list[Any] = orjson.loads(b"[%b]" % text)
    except orjson.JSONDecodeError:
        return None
    return lists


def may_have_zero_with_exponent(text: bytes) -> bool:
    """Tell whether there may be a zero with an exponent.

    ``0e400`` is an error for TensorFlow Serving, but orjson reads it as 0.
    """
    return any(
        head.endswith(b"0")
        for mark in (b"e", b"E")
        if mark in text
        for head in text.split(mark)[:-1]
    )


def integer(digits: bytes) -> int | float | None:
    """Return an int if 64 bits are enough, else a float; None if it is too big for a double."""
    if len(digits) > 4000:  # Python refuses to convert them; doubles have at most 309 digits
        return None
    number = int(digits)
    if -(2**63) <= number < 2**64:
        return number
    number_as_double = float(digits)
    return None if math.isinf(number_as_double) else number_as_double


def double(match: re.Match[bytes]) -> float | None:
    """Return the float of a NUMBER with a fraction or exponent; None if it is too big."""
    fraction, exponent = match[3] or b".", match[4] or b"e0"
    if float(exponent[1:]) > _MAX_EXPONENT + len(fraction) - 1:
        return None
    number = float(match[0])
    return None if math.isinf(number) else number
