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
_LEAST: Final = float(np.finfo(np.float32).tiny)
_END: Final = 1e6
_DIGITS: Final = 9
_FEW_DIGITS: Final = 6
#: Each is the double next to the power; up to 1e22 it is the power itself. Beyond, a quotient can
#: miss the next double, but none of six digits lies where that would change its float32.
_TENS: Final = np.array([float(f"1e{power}") for power in range(_DIGITS + 38)])
#: Nearer to the middle between two texts than that, a double cannot tell which is nearer.
_MIDDLE: Final = 0.5 - 1e-6

#: Below that, numbers have an exponent.
_LEAST_PLAIN: Final = -4
#: The one that orjson is given; it is as long as any here.
_STAND_IN: Final = -10
_ZERO: Final = ord("0")


def texts(flat: Floats) -> tuple[list[str], Mask]:
    """Return a text for each number, and which of them can be relied on."""
    written, sure = _written(flat)
    return written[1:-1].split(","), sure


def lists(rows: Floats) -> list[str] | None:
    """Return the text of each row without brackets, or None if a number cannot be relied on."""
    written, sure = _written(rows)
    return written[2:-2].replace(",", ", ").split("], [") if sure.all() else None


def _written(numbers: Floats) -> tuple[str, Mask]:
    """Return the JSON of an array without spaces, and which numbers can be relied on."""
    rounded, exponents, sure = _rounded(numbers)
    json = orjson.dumps(rounded, option=orjson.OPT_SERIALIZE_NUMPY)
    chars = np.frombuffer(json, np.uint8).copy()
    tens = np.flatnonzero(chars == ord("e")) + len("e-")
    chars[tens], chars[tens + 1] = _ZERO + exponents // 10, _ZERO + exponents % 10
    return chars.tobytes().decode("ascii"), sure


def _rounded(numbers: Floats) -> tuple[Doubles, NDArray[np.intp], Mask]:
    """Return each number with six digits if they give it back, else with nine.

    The second result are the exponents, less their sign, of those that have the stand-in.
    """
    wide = numbers.astype(np.float64)
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
    has_exponent = exponent < _LEAST_PLAIN
    exponents = exponent[has_exponent]
    places[has_exponent] += exponents - _STAND_IN
    is_zero = wide == 0
    digits[is_zero] = 0
    return np.copysign(digits / _TENS[places], wide), -exponents, sure | is_zero
