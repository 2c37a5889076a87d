"""Turn positions in a stored image to where they stand in the upright image. Pure."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flask_server.imaging.geometry import FloatBox, Size

_Value = TypeVar("_Value", bound=np.generic)

#: EXIF orientations that swap width and height.
SIDEWAYS = range(5, 9)
#: Whether the stored left and top are right and bottom of the upright image, by orientation; for
#: sideways ones, before width and height are swapped.
_FAR_SIDES = {
    1: (False, False),
    2: (True, False),
    3: (True, True),
    4: (False, True),
    5: (False, False),
    6: (False, True),
    7: (True, True),
    8: (True, False),
}


def turned_box(box: FloatBox, size: Size, orientation: int) -> FloatBox:
    """Return where a box at the left and top of a stored image of this size stands upright."""
    _, _, right, bottom = box
    width, height = size
    from_right, from_bottom = _FAR_SIDES[orientation]
    across = (width - right, float(width)) if from_right else (0.0, right)
    down = (height - bottom, float(height)) if from_bottom else (0.0, bottom)
    if orientation in SIDEWAYS:
        across, down = down, across
    return across[0], down[0], across[1], down[1]


def turned_shares(boxes: NDArray[np.float64], orientation: int) -> NDArray[np.float64]:
    """Return boxes of a stored image as boxes of the upright one.

    Their shape is (N, 4): left, top, right and bottom as shares of the image.
    """
    left, top, right, bottom = boxes.T
    from_right, from_bottom = _FAR_SIDES[orientation]
    across = (1 - right, 1 - left) if from_right else (left, right)
    down = (1 - bottom, 1 - top) if from_bottom else (top, bottom)
    if orientation in SIDEWAYS:
        across, down = down, across
    return np.stack([across[0], down[0], across[1], down[1]], axis=1)


def turned_map(cells: NDArray[_Value], orientation: int) -> NDArray[_Value]:
    """Return the rows and columns of a stored image as those of the upright one."""
    from_right, from_bottom = _FAR_SIDES[orientation]
    flipped = cells[:: -1 if from_bottom else 1, :: -1 if from_right else 1]
    return flipped.T if orientation in SIDEWAYS else flipped
