"""Occlude the cells of a grid over an image, one after the other. Pure; knows no models.

A cell is blurred with soft edges and mixed with a little grey. A sharp grey patch would be a new
object, which changes the scores by itself on a plain background. The patches overlap, so that an
object on the border of two cells counts for both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from flask_server.imaging.preprocessing import Pixels

#: Distance from the middle of a patch, in cells, at which it has faded to nothing: a patch covers
#: its own cell and fades over one more on each side.
_REACH = 1.5
#: Radius of the blur, in cells: enough to remove every shape of the size of a patch.
_BLUR = 1.5
#: Blurring does not change plain colours; mixing in this share of grey does.
_GREY_SHARE, _GREY = 0.25, 127.5

#: Bytes of memory per level of an image: itself and the fill as fractions, and what is computed of
#: them for one cell.
_LEVEL_BYTES = 24


def peak_bytes(levels: int, images: int) -> int:
    """Upper bound of the memory of an occluded image of so many levels, and of its copies."""
    return (_LEVEL_BYTES + images) * levels


def occlude_cells(pixels: Pixels, grid: int) -> Iterator[Pixels]:
    """Yield the image with each cell of a ``grid`` x ``grid`` grid occluded, row by row."""
    height, width, _ = pixels.shape
    image, fill = pixels.astype(np.float32), _fill(pixels, grid)
    for row in range(grid):
        for column in range(grid):
            cover = np.outer(_fade(height, row, grid), _fade(width, column, grid))[..., None]
            yield np.rint(image + cover * (fill - image)).astype(np.uint8)


def _fill(pixels: Pixels, grid: int) -> NDArray[np.float32]:
    """Return the blurred and greyed image, from which the patches are cut."""
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    radius = (_BLUR * width / grid, _BLUR * height / grid)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    fill = blurred * (1 - _GREY_SHARE) + _GREY * _GREY_SHARE
    return fill.astype(np.float32).reshape(pixels.shape)


def _fade(length: int, cell: int, grid: int) -> NDArray[np.float32]:
    """Return for each pixel along one side how opaque the patch on this cell is, 0 to 1."""
    middles = (np.arange(length, dtype=np.float32) + 0.5) * grid / length
    return np.clip(_REACH - np.abs(middles - (cell + 0.5)), 0, 1).astype(np.float32)
