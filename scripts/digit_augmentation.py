"""Augment images of digits: other pens, positions, slants, light and noise.

The originals are light on dark, centred and upright. Users draw with thick and thin pens, dark on
white, off centre and at a slant, and photograph the result; the variants imitate that.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.digit_pictures import SIDE, Pictures


def augmented(picture: Pictures, digit: int, random: np.random.Generator) -> Pictures:
    """Return a random variant of the image: another slant, pen, paper and light."""
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
    """Erase the bar of a seven, unless its top is so narrow that it would look like a one.

    Nearly every seven of the originals has a bar; the network must not depend on it.
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
    """Shrink, shift, turn and slant the image; pixels outside the original are dark."""
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
    """Change the width and sharpness of the strokes, with a probability of two thirds."""
    if random.random() < 1 / 3:
        return ink
    edge, sharpness = random.uniform(0.2, 0.7), random.uniform(5.0, 25.0)
    drawn = 1.0 / (1.0 + np.exp(-sharpness * (ink - edge)))
    darkest = 1.0 / (1.0 + math.exp(sharpness * edge))
    return (drawn - darkest) / (1.0 - darkest)


def _shade(random: np.random.Generator) -> NDArray[np.float64]:
    """Return a random linear gradient of brightness."""
    down, right = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    slope = random.normal(0.0, 0.08, 2)
    return np.asarray(slope[0] * down + slope[1] * right)
