"""Place the label map of a segmentation on the upright original image. Pure.

A model returns its map for the resized, cropped or padded image. Each pixel of the original has the
class of the cell of the map that covers its centre; what a crop has cut off is ``UNSEEN``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flask_server.imaging.geometry import Size, exact_seen_box
from model_catalog.spec import InputSpec

#: The value of pixels outside the part of the image that the model sees.
UNSEEN = 255

#: A class per pixel, shape (height, width).
ClassMap = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class LabelMap:
    """The classes in the resolution of the model, and where they lie on the original image."""

    cells: ClassMap

    size: Size
    """Width and height of the upright original image."""

    columns: NDArray[np.intp]
    """The column of the cells for each column of pixels, -1 where the model does not see it."""

    rows: NDArray[np.intp]
    """The same for the rows."""

    def pixels(self, size: Size | None = None) -> ClassMap:
        """Return the class of each pixel, of the original image or of a resized copy of it."""
        columns, rows = self.columns, self.rows
        if size is not None:
            columns, rows = _resampled(columns, size[0]), _resampled(rows, size[1])
        seen = self.cells[np.maximum(rows, 0)[:, None], np.maximum(columns, 0)]
        seen[rows < 0] = UNSEEN
        seen[:, columns < 0] = UNSEEN
        return seen

    def areas(self, classes: int) -> NDArray[np.int64]:
        """Return the number of pixels of the original image for each class, as in ``pixels``."""
        height, width = self.cells.shape
        across = np.bincount(self.columns[self.columns >= 0], minlength=width)
        down = np.bincount(self.rows[self.rows >= 0], minlength=height)
        weights = np.outer(down, across).ravel()
        # Sums of floats are exact up to 2**53, far more than an image has pixels.
        return np.bincount(self.cells.ravel(), weights, minlength=classes).astype(np.int64)


def whole(cells: ClassMap) -> LabelMap:
    """Return the map of a model's input itself."""
    height, width = cells.shape
    return LabelMap(cells, (width, height), np.arange(width), np.arange(height))


def place(cells: ClassMap, size: Size, spec: InputSpec | None) -> LabelMap:
    """Return the map of an image of this upright size that was prepared as the spec says.

    Without a spec the model saw the whole image.
    """
    left, top, right, bottom = exact_seen_box(size, spec) if spec else (0, 0, *size)
    height, width = cells.shape
    columns = _cells_of(size[0], left, right, width)
    rows = _cells_of(size[1], top, bottom, height)
    return LabelMap(cells, size, columns, rows)


def _cells_of(pixels: int, start: float, end: float, cells: int) -> NDArray[np.intp]:
    """Return for each pixel of a side the cell that covers its centre, -1 outside of all cells."""
    positions = (np.arange(pixels) + 0.5 - start) * cells / (end - start)
    found = np.floor(positions).astype(np.intp)
    return np.where((found >= 0) & (found < cells), found, -1)


def _resampled(indices: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    centres = ((np.arange(length) + 0.5) * len(indices) / length).astype(np.intp)
    return indices[np.minimum(centres, len(indices) - 1)]
