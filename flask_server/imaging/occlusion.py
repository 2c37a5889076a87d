"""Hide one place of a picture after the other, in the model's own pixels.

Numbers only: which model looks at the result, and what it says, is somebody else's business.

A place is not painted over but blurred, with soft edges and a little grey: a hard grey patch is a
new object, and on a plain background the model then looks at the patch. Patches overlap, so that
something on the border of two cells counts for both.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from flask_server.imaging.preprocessing import Pixels, crop_box, inside
from model_catalog.spec import InputSpec

Box = tuple[int, int, int, int]

#: A patch hides its own cell and fades over one more on each side; in cells from its middle.
_REACH = 1.5
#: Blur enough to lose every shape that the patch can hide; in cells.
_BLUR = 1.5
#: Blurring leaves plain colours as they are; this much grey takes some of them away too.
_GREY_SHARE, _GREY = 0.25, 127.5


def occlude_cells(pixels: Pixels, cells: int) -> Iterator[Pixels]:
    """Give the picture with each cell of a square grid hidden, row by row."""
    height, width, _ = pixels.shape
    picture, fill = pixels.astype(np.float32), _fill(pixels, cells)
    for row in range(cells):
        for column in range(cells):
            cover = np.outer(_fade(height, row, cells), _fade(width, column, cells))[..., None]
            yield np.rint(picture + cover * (fill - picture)).astype(np.uint8)


def seen_box(size: tuple[int, int], spec: InputSpec) -> Box:
    """Return left, top, right and bottom of what the model sees of an upright picture.

    It goes beyond the picture where the spec pads it.
    """
    width, height = size
    if spec.fit == "crop":
        return crop_box(size, spec)
    if spec.fit == "stretch":
        return 0, 0, width, height
    part_width, part_height = inside(size, spec)
    across = width * spec.width / part_width
    down = height * spec.height / part_height
    left = -((spec.width - part_width) // 2) * width / part_width
    top = -((spec.height - part_height) // 2) * height / part_height
    return round(left), round(top), round(left + across), round(top + down)


def _fill(pixels: Pixels, cells: int) -> NDArray[np.float32]:
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    radius = (_BLUR * width / cells, _BLUR * height / cells)
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    fill = blurred * (1 - _GREY_SHARE) + _GREY * _GREY_SHARE
    return fill.astype(np.float32).reshape(pixels.shape)


def _fade(length: int, cell: int, cells: int) -> NDArray[np.float32]:
    """Return for each pixel along one side how much the patch on this cell hides it."""
    middles = (np.arange(length, dtype=np.float32) + 0.5) * cells / length
    return np.clip(_REACH - np.abs(middles - (cell + 0.5)), 0, 1).astype(np.float32)
