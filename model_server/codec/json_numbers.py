"""Know the numbers of TensorFlow Serving's JSON dialect: their grammar, kinds and limits. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

#: A number: sign, whole part, fraction and exponent; the last two may lack their digits.
NUMBER: Final = re.compile(rb"(-?)(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]*)?")

_BIGGEST_EXPONENT: Final = 308
#: Up to some thousand common numbers with commas between; they are left to the standard library,
#: in pieces, so that other threads go on meanwhile. Not possessive: in Python 3.11.2, as Debian has
#: it, such a repetition may end inside of a round.
_PLAIN_NUMBER: Final = (
    rb"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,60})?(?:[eE][+-]?[0-9]{1,2})?(?=[ \t\r\n,\]])"
)
RUN: Final = re.compile(rb"%b(?:[ \t\r\n]*,[ \t\r\n]*%b){0,4000}" % (_PLAIN_NUMBER, _PLAIN_NUMBER))


def read_run(text: bytes) -> list[Any]:
    """Return the numbers of a run."""
    numbers: list[Any] = json.loads(b"[%b]" % text)
    return numbers


def integer(digits: bytes) -> int | float | None:
    """Return an int of at most 64 bits, else a float, else None."""
    if len(digits) > 4000:  # where Python refuses to convert; a float ends long before
        return None
    number = int(digits)
    if -(2**63) <= number < 2**64:
        return number
    number_as_double = float(digits)
    return None if math.isinf(number_as_double) else number_as_double


def double(match: re.Match[bytes]) -> float | None:
    """Return the float that a NUMBER with fraction or exponent means; None if it is too big."""
    fraction, exponent = match[3] or b".", match[4] or b"e0"
    if float(exponent[1:]) > _BIGGEST_EXPONENT + len(fraction) - 1:
        return None
    number = float(match[0])
    return None if math.isinf(number) else number
