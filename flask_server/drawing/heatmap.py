"""Lay the heat of an explanation over the picture that was explained.

Numbers and picture in, picture out. The picture itself goes grey and dark, so that the only strong
colours are those of the heat; what the model did not see at all is darker still.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.drawing import caption
from flask_server.drawing.annotate import in_words, prediction_row, shown
from flask_server.drawing.caption import MUTED, WARNING, Color, Row
from flask_server.imaging.geometry import seen_box
from flask_server.inference.explain import Explanation, Heat
from model_catalog.spec import InputSpec

#: From no heat to the most; each stop is lighter than the one before, so that the order is seen
#: without seeing colours, and survives a grey print.
STOPS: tuple[tuple[float, Color], ...] = (
    (0.0, (44, 24, 110)),
    (0.3, (146, 28, 128)),
    (0.6, (232, 68, 78)),
    (0.85, (255, 152, 46)),
    (1.0, (255, 226, 110)),
)
#: A class whose score never falls by more than this is carried by no single place.
LEAST_HEAT = 0.001

_PLACES, _COLORS = np.array([place for place, _ in STOPS]), np.array([color for _, color in STOPS])
_OPACITY = 0.88
_SATURATION, _BRIGHTNESS, _UNSEEN = 0.25, 0.62, 0.45

Map = NDArray[np.float32]


def color_of(share: float) -> Color:
    """Return the colour of a share, 0 to 1, of the most heat."""
    red, green, blue = _colors(np.array(share)).round().astype(int).tolist()
    return red, green, blue


def overlaid(image: Image.Image, explanation: Explanation) -> Image.Image:
    """Return the picture under its heat, with a legend below it."""
    picture = shown(image)
    shares, seen = _maps(explanation.heat, picture.size, explanation.input_spec)
    alpha = (_OPACITY * shares)[..., None]
    ground = _dimmed(picture) * np.where(seen, 1, _UNSEEN)[..., None]
    mixed = ground * (1 - alpha) + _colors(shares) * alpha
    return caption.below(Image.fromarray(mixed.round().astype(np.uint8)), _legend(explanation))


def _maps(heat: Heat, size: tuple[int, int], view: InputSpec) -> tuple[Map, NDArray[np.bool_]]:
    """Return for each pixel its share of the most heat, and whether the model saw it."""
    left, top, right, bottom = seen_box(size, view)
    most = max(float(heat.max()), LEAST_HEAT)
    grid = Image.fromarray(np.clip(heat / most, 0, 1).astype(np.float32))
    shares, seen = Image.new("F", size), Image.new("1", size)
    if heat.max() >= LEAST_HEAT:
        smooth = grid.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
        shares.paste(smooth, (left, top))
    seen.paste(1, (left, top, right, bottom))
    return np.clip(np.asarray(shares, np.float32), 0, 1), np.asarray(seen, np.bool_)


def _dimmed(picture: Image.Image) -> Map:
    grey = picture.convert("L").convert("RGB")
    pale = Image.blend(grey, picture, _SATURATION)
    return np.asarray(pale, np.float32) * np.float32(_BRIGHTNESS)


def _colors(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    bands = [np.interp(shares, _PLACES, _COLORS[:, band]) for band in range(3)]
    return np.stack(bands, axis=-1)


def _legend(explanation: Explanation) -> Sequence[Row]:
    title = f"{explanation.model}, version {explanation.version}: what it looked at"
    notices = [Row(left=(n,), ink=WARNING, wrapped=True) for n in explanation.warnings]
    best = prediction_row(explanation.prediction)
    return [Row(left=(title,), ink=MUTED), *notices, best, *_scale(float(explanation.heat.max()))]


def _scale(most: float) -> Sequence[Row]:
    if most < LEAST_HEAT:
        return [Row(left=("no place decides it alone",))]
    lost = in_words(most).replace("%", "points")
    words = Row(left=("score lost where hidden: none",), right=lost, ink=MUTED)
    return [words, Row(paint=caption.ramp(color_of))]
