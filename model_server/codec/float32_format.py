"""Write float32 numbers in TensorFlow Serving's digits, all of an array at once. Pure.

A number with at most nine digits is the shortest text of the double next to it. So numbers are
rounded here, as doubles, to the digits they shall have, and orjson writes those doubles. Those that
have an exponent are all given the same one, for which powers of ten are exact, and the text gets
the true one. Of numbers that cannot be rounded surely nothing is claimed.
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
_MIN_SIZE: Final = float(np.finfo(np.float32).tiny)
_SIZE_LIMIT: Final = 1e6
_FULL_DIGITS: Final = 9
_SHORT_DIGITS: Final = 6
#: Each is the double next to the power; up to 1e22 it is the power itself. Beyond, a quotient can
#: miss the next double, but none of six digits lies where that would change its float32.
_POWERS_OF_TEN: Final = np.array([float(f"1e{power}") for power in range(_FULL_DIGITS + 38)])
#: Nearer to the middle between two texts than that, a double cannot tell which is nearer.
_MAX_ROUNDING_ERROR: Final = 0.5 - 1e-6

#: Below that, numbers have an exponent.
_MIN_PLAIN_EXPONENT: Final = -4
#: The one that orjson is given; it is as long as any here.
_PLACEHOLDER_EXPONENT: Final = -10
_ZERO: Final = ord("0")


def texts(flat: Floats) -> tuple[list[str], Mask]:
    """Return a text for each number, and which of them can be relied on."""
    written, is_exact = _written(flat)
    return written[1:-1].split(","), is_exact


def lists(rows: Floats) -> list[str] | None:
    """Return the text of each row without brackets, or None if a number cannot be relied on."""
    written, is_exact = _written(rows)
    return written[2:-2].replace(",", ", ").split("], [") if is_exact.all() else None


def _written(numbers: Floats) -> tuple[str, Mask]:
    """Return the JSON of an array without spaces, and which numbers can be relied on."""
    rounded, exponents, is_exact = _rounded(numbers)
    json = orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY)
    chars = np.frombuffer(json, np.uint8).copy()
    tens_digit = np.flatnonzero(chars == ord("e")) + len("e-")
    chars[tens_digit], chars[tens_digit + 1] = _ZERO + exponents // 10, _ZERO + exponents % 10
    return chars.tobytes().decode("ascii"), is_exact


def _rounded(numbers: Floats) -> tuple[Doubles, NDArray[np.intp], Mask]:
    """Return each number with six digits if they give it back, else with nine.

    The second result are the exponents, less their sign, of those that have the stand-in.
    """
    wide = numbers.astype(np.float64)
    size = np.abs(wide)
    is_exact = (size >= _MIN_SIZE) & (size < _SIZE_LIMIT)
    size[~is_exact] = 1
    exponent = np.floor(np.log10(size)).astype(np.intp)
    short = np.rint(size * _POWERS_OF_TEN[_SHORT_DIGITS - 1 - exponent])
    exact = size * _POWERS_OF_TEN[_FULL_DIGITS - 1 - exponent]
    full = np.rint(exact)
    is_exact &= (np.abs(exact - full) < _MAX_ROUNDING_ERROR) & (
        full >= _POWERS_OF_TEN[_FULL_DIGITS - 1]
    )
    short_is_exact = (short / _POWERS_OF_TEN[_SHORT_DIGITS - 1 - exponent]).astype(
        np.float32
    ) == size
    digits = np.where(short_is_exact, short, full)
    count = np.where(short_is_exact, _SHORT_DIGITS, _FULL_DIGITS)
    places = count - 1 - exponent
    exponent += digits == _POWERS_OF_TEN[count]  # 9.9999… has become 10
    has_exponent = exponent < _MIN_PLAIN_EXPONENT
    exponents = exponent[has_exponent]
    places[has_exponent] += exponents - _PLACEHOLDER_EXPONENT
    is_zero = wide == 0
    digits[is_zero] = 0
    return np.copysign(digits / _POWERS_OF_TEN[places], wide), -exponents, is_exact | is_zero
