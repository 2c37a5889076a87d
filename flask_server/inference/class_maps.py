"""Read the class of each pixel from the output of a segmentation. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import ServingError
from flask_server.imaging.label_maps import ClassMap
from model_catalog.spec import OutputSpec

#: A single score above this belongs to the second class.
_HALF = 0.5


def class_map(values: NDArray[np.generic], output: OutputSpec) -> ClassMap:
    """Return the class of each pixel, shape (height, width); raise ServingError for other outputs.

    ``values`` has the scores of all classes for each pixel, channels last or first, or one score,
    that of the second of two classes, or the number of the class.
    """
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "biuf" or not numbers.size:
        raise ServingError("The output of the segmentation has no numbers.")
    if _has_nan(numbers):
        raise ServingError("The output of the segmentation has NaN, which stands for no class.")
    if numbers.ndim == 3:
        if output.classes in (numbers.shape[2], numbers.shape[0]) and output.classes > 1:
            return _highest(numbers, output.classes)
        numbers = numbers[..., 0] if numbers.shape[2] == 1 else numbers
        numbers = numbers[0] if numbers.shape[0] == 1 and numbers.ndim == 3 else numbers
    if numbers.ndim != 2:
        raise ServingError(
            f"The output of the segmentation has the shape {numbers.shape} for an image; needed are"
            f" height, width and {output.classes} classes."
        )
    if numbers.dtype.kind == "f" and output.classes == 2:
        numbers = numbers > (0 if output.activation == "none" else _HALF)
    if not np.isfinite(numbers).all() or numbers.min() < 0 or numbers.max() >= output.classes:
        raise ServingError(
            f"The segmentation has pixels of other classes than the {output.classes} of the model."
        )
    return numbers.astype(np.uint8)


def _has_nan(numbers: NDArray[np.generic]) -> bool:
    """Tell whether a value is NaN: the minimum is then NaN too, and needs no second array."""
    return numbers.dtype.kind == "f" and bool(np.isnan(np.min(numbers)))


def _highest(scores: NDArray[np.generic], classes: int) -> ClassMap:
    """Return the class with the highest score for each pixel; of equal ones the first."""
    axis = 2 if scores.shape[2] == classes else 0
    return np.asarray(np.argmax(scores, axis=axis), np.uint8)
