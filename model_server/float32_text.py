"""Write float32 numbers in TensorFlow Serving's digits, all of an array at once. Pure.

A number with at most nine digits is the shortest text of the double next to it. So numbers are
rounded here, as doubles, to the digits they shall have, and orjson writes those doubles. Only
numbers of ordinary size can be rounded surely; of the others nothing is claimed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Zero, and what lies between these, is written here.
_LEAST: Final = 1e-13
_END: Final = 1e6
#: The powers of ten that are exact as doubles: a quotient of two exact numbers is the double that
#: is next to the true one.
_TENS: Final = 10.0 ** np.arange(23)
_DIGITS: Final = 9
_FEW_DIGITS: Final = 6
#: Nearer to the middle between two texts than that, a double cannot tell which is nearer.
_MIDDLE: Final = 0.5 - 1e-6

#: orjson writes 0.00001, the genuine server 1e-05. With this power of ten too little it gets an
#: exponent that no other number here has.
_WITHOUT_EXPONENT: Final = -5
_TOO_LITTLE: Final = 9
_MARK, _MEANT = (np.frombuffer(text, np.uint8) for text in (b"14", b"05"))


def texts(flat: Floats) -> tuple[list[str], Mask]:
    """Return a text for each number, and which of them can be relied on."""
    rounded, sure = _rounded(flat)
    written = orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY)
    return _with_two_digits(written).decode("ascii")[1:-1].split(","), sure


def _rounded(flat: Floats) -> tuple[Doubles, Mask]:
    """Return each number with six digits if they give it back, else with nine."""
    wide = flat.astype(np.float64)
    size = np.abs(wide)
    sure = (size >= _LEAST) & (size < _END)
    size[~sure] = 1
    exponent = np.floor(np.log10(size)).astype(np.intp)
    few = np.rint(size * _TENS[_FEW_DIGITS - 1 - exponent])
    exact = size * _TENS[_DIGITS - 1 - exponent]
    many = np.rint(exact)
    sure &= (np.abs(exact - many) < _MIDDLE) & (many >= _TENS[_DIGITS - 1])
    suffice = (few / _TENS[_FEW_DIGITS - 1 - exponent]).astype(np.float32) == size
    digits = np.where(suffice, few, many)
    count = np.where(suffice, _FEW_DIGITS, _DIGITS)
    places = count - 1 - exponent
    exponent += digits == _TENS[count]  # 9.9999… has become 10
    places[exponent == _WITHOUT_EXPONENT] += _TOO_LITTLE
    is_zero = wide == 0
    digits[is_zero] = 0
    return np.copysign(digits / _TENS[places], wide), sure | is_zero


def _with_two_digits(written: bytes) -> bytes:
    """Return what orjson wrote with exponents of two digits."""
    chars = np.frombuffer(written, np.uint8).copy()
    first = np.flatnonzero(chars == ord("e")) + 2
    has_two = chars[first + 1] - np.uint8(ord("0")) < 10
    marked = first[has_two & (chars[first + 1] == _MARK[1])]
    chars[marked], chars[marked + 1] = _MEANT
    return np.insert(chars, first[~has_two], np.uint8(ord("0"))).tobytes()
