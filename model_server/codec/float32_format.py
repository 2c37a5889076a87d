"""Write whole float32 arrays with the digits that TensorFlow Serving writes. Pure.

orjson writes the shortest text of a double. A decimal number of at most nine digits is the shortest
text of the nearest double. So each number is rounded to the wanted digits as a double, and orjson
writes these doubles. Numbers that need an exponent are all scaled to one placeholder exponent,
for which powers of ten are exact; the true exponent then replaces it in the text. Numbers whose
rounding is uncertain are marked as not exact, and ``float_format`` writes them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Only zero and numbers whose absolute value lies between these limits are written here.
_MIN_SIZE: Final = float(np.finfo(np.float32).tiny)
_SIZE_LIMIT: Final = 1e6
_FULL_DIGITS: Final = 9
_SHORT_DIGITS: Final = 6
#: Up to 1e22 these doubles equal the powers of ten. For larger powers a quotient can be one double
#: off, but no number of six digits is so close to a tie that its float32 would change.
_POWERS_OF_TEN: Final = np.array([float(f"1e{power}") for power in range(_FULL_DIGITS + 38)])
#: Beyond this distance from a whole number, a double cannot tell which of two texts is nearer.
_MAX_ROUNDING_ERROR: Final = 0.5 - 1e-6

#: Numbers with a smaller decimal exponent are written with an exponent.
_MIN_PLAIN_EXPONENT: Final = -4
#: The exponent in orjson's text; it has two digits, as all exponents here.
_PLACEHOLDER_EXPONENT: Final = -10
_ZERO: Final = ord("0")


def texts(flat: Float32Array) -> tuple[list[str], Mask]:
    """Return a text for each number, and a mask of the texts that are exact."""
    written, is_exact = _written(flat)
    return written[1:-1].split(","), is_exact


def lists(rows: Float32Array) -> list[str] | None:
    """Return the text of each row without brackets, or None if any number is not exact."""
    written, is_exact = _written(rows)
    return written[2:-2].replace(",", ", ").split("], [") if is_exact.all() else None


def _written(numbers: Float32Array) -> tuple[str, Mask]:
    """Return the JSON of an array without spaces, and a mask of the numbers that are exact."""
    rounded, exponents, is_exact = _rounded(numbers)
    json = orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY)
    chars = np.frombuffer(json, np.uint8).copy()
    tens_digit = np.flatnonzero(chars == ord("e")) + len("e-")
    chars[tens_digit], chars[tens_digit + 1] = _ZERO + exponents // 10, _ZERO + exponents % 10
    return chars.tobytes().decode("ascii"), is_exact


def _rounded(numbers: Float32Array) -> tuple[Float64Array, NDArray[np.intp], Mask]:
    """Return the rounded numbers, the exponents to write, and a mask of the exact numbers.

    A number is rounded to six digits if they read back as the same float32, else to nine. The
    exponents belong to the numbers that have the placeholder exponent; all are negative, and the
    result is without the sign.
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
    exponent += digits == _POWERS_OF_TEN[count]  # 9.9999… was rounded up to 10
    has_exponent = exponent < _MIN_PLAIN_EXPONENT
    exponents = exponent[has_exponent]
    places[has_exponent] += exponents - _PLACEHOLDER_EXPONENT
    is_zero = wide == 0
    digits[is_zero] = 0
    return np.copysign(digits / _POWERS_OF_TEN[places], wide), -exponents, is_exact | is_zero
