"""Make training and test pictures out of scikit-learn's handwritten digits.

The originals are 8x8 grey levels, light on dark. People draw with thick and thin pens, dark on
white, off centre and at a slant, and photograph it: ``varied`` imitates that. Nothing here knows of
networks or files.
"""

from __future__ import annotations

import math
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
    """Pictures, 8 bit and 32x32, with the digits they show."""

    pictures: Pictures
    digits: Digits


def training() -> Split:
    """Return the 1437 digits to learn from."""
    return _splits()[0]


def held_out() -> Split:
    """Return the 360 digits that training never sees, equally many of each kind."""
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
    """Stretch an 8x8 picture with levels from 0 to 16."""
    small = Image.fromarray(np.round(levels * 255 / 16).astype(np.uint8))
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def varied(picture: Pictures, digit: int, random: np.random.Generator) -> Pictures:
    """Return the picture as another hand, pen, paper and camera might have made it."""
    if digit == 7 and random.random() < 0.4:
        picture = without_bar(picture)
    ink = _redrawn(_moved(picture, random), random)
    paper, pen = random.uniform(0.0, 0.3), random.uniform(0.65, 1.0)
    light = paper + (pen - paper) * ink + _shade(random)
    if random.random() < 0.5:
        light = 1.0 - light
    light += random.normal(0.0, random.uniform(0.0, 0.05), light.shape)
    return np.round(np.clip(light, 0.0, 1.0) * 255).astype(np.uint8)


def without_bar(seven: Pictures) -> Pictures:
    """Leave only the stem in the middle rows, if the top is so wide that nobody would read a 1.

    Nearly every seven of the originals has a bar there; without this the network would need one.
    """
    top = np.flatnonzero(seven[1:7].max(axis=0) > 110)
    if np.ptp(top) < 17:
        return seven
    rows, columns = np.mgrid[:SIDE, :SIDE]
    tip = top[-1] - 2
    foot = np.average(np.arange(SIDE), weights=seven[26:].sum(axis=0) + 1e-9)
    stem = tip + (foot - tip) * (rows - 6) / 23
    kept = np.clip(5.5 - np.abs(columns - stem), 0.0, 1.0)
    kept[:11], kept[27:] = 1.0, 1.0
    return np.asarray(seven * kept, dtype=np.uint8)


def _moved(picture: Pictures, random: np.random.Generator) -> NDArray[np.float64]:
    """Shrink, shift, turn and slant; what lies outside the original is dark."""
    turn, slant = math.radians(random.normal(0.0, 7.0)), random.normal(0.0, 0.12)
    height = random.uniform(0.5, 1.05)
    width = height * random.uniform(0.6, 1.15)
    forward = (
        np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        @ np.array([[1.0, slant], [0.0, 1.0]])
        @ np.diag([width, height])
    )
    room = SIDE * np.maximum(1.0 - np.array([width, height]), 0.12) / 2
    back = np.linalg.inv(forward)
    centre = np.full(2, SIDE / 2)
    origin = centre - back @ (centre + random.uniform(-room, room))
    coefficients = (*back[0], origin[0], *back[1], origin[1])
    moved = Image.fromarray(picture).transform(
        (SIDE, SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    return np.asarray(moved, dtype=np.float64) / 255


def _redrawn(ink: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Draw the soft strokes with a pen of another width and sharpness, two times in three."""
    if random.random() < 1 / 3:
        return ink
    edge, sharpness = random.uniform(0.2, 0.7), random.uniform(5.0, 25.0)
    drawn = 1.0 / (1.0 + np.exp(-sharpness * (ink - edge)))
    darkest = 1.0 / (1.0 + math.exp(sharpness * edge))
    return (drawn - darkest) / (1.0 - darkest)


def _shade(random: np.random.Generator) -> NDArray[np.float64]:
    """Return light that falls from one side."""
    down, right = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    slope = random.normal(0.0, 0.08, 2)
    return np.asarray(slope[0] * down + slope[1] * right)
