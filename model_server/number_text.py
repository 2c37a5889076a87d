"""Write floats as TensorFlow Serving does: six digits where they suffice, else nine or seventeen.

Pure. A whole number gets ``.0`` unless it has an exponent; NaN and the infinities are bare words.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_FULL: Final = {"float32": "%.9g", "float64": "%.17g"}
_WORDS: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity", "-nan": "NaN"}


def decimals(flat: NDArray[Any]) -> list[str]:
    """Return the text of each number of a one-dimensional float32 or float64 array."""
    if not flat.size:
        return []
    values = flat.tolist()
    full = _FULL[flat.dtype.name]
    texts = ("\n".join([full] * len(values)) % tuple(values)).split("\n")
    for index in np.flatnonzero(_maybe_short(flat)).tolist():
        texts[index] = _shortest(values[index], texts[index], flat.dtype.type)
    for index in np.flatnonzero(~(np.rint(flat) != flat)).tolist():
        texts[index] = _marked(texts[index])
    return [_WORDS.get(text, text) for text in texts] if not np.isfinite(flat).all() else texts


def _maybe_short(flat: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which numbers six digits may give back; a wrong yes costs time, a wrong no digits."""
    with np.errstate(all="ignore"):
        wide = flat.astype(np.float64)
        places = 5 - np.floor(np.log10(np.abs(wide)))
        up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
        rounded = np.rint(wide * up / down) * down / up
        unsure = (np.abs(places) > 22) | (wide == 0)
    short: NDArray[np.bool_] = unsure | (rounded.astype(flat.dtype) == flat)
    return short


def _shortest(value: float, full: str, kind: type[np.floating[Any]]) -> str:
    short = f"{value:g}"
    return short if kind(float(short)) == value else full


def _marked(text: str) -> str:
    """Mark a whole number as a float."""
    return text if "." in text or "e" in text or "n" in text else f"{text}.0"
