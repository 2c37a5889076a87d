"""Split scikit-learn's handwritten digits into training images and held-out images.

The originals are 8x8 grey levels, light on dark; they are scaled up to ``SIDE`` x ``SIDE``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
HELD_OUT = 360

_SPLIT_SEED = 20

Pictures = NDArray[np.uint8]
Digits = NDArray[np.int64]


class Split(NamedTuple):
    """Images, 8 bit and 32x32, with their classes."""

    pictures: Pictures
    digits: Digits


def training() -> Split:
    """Return the 1437 training digits."""
    return _splits()[0]


def held_out() -> Split:
    """Return the 360 digits that are not used for training, about equally many of each class."""
    return _splits()[1]


def _splits() -> tuple[Split, Split]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    levels, digits = load_digits(return_X_y=True)
    pictures = np.stack([_upscaled(picture) for picture in levels.reshape(-1, 8, 8)])
    seen, unseen, seen_digits, unseen_digits = train_test_split(
        pictures, digits, test_size=HELD_OUT, stratify=digits, random_state=_SPLIT_SEED
    )
    return Split(seen, seen_digits), Split(unseen, unseen_digits)


def _upscaled(levels: NDArray[np.float64]) -> Pictures:
    """Stretch an 8x8 image with levels from 0 to 16."""
    small = Image.fromarray(np.round(levels * 255 / 16).astype(np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
