"""Draw the heatmap of an explanation over its image.

The image becomes greyer and darker, so that only the heat has strong colours. The part that the
model's input does not show is darker still. Explanation and image in, image out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.drawing import caption
from flask_server.drawing.annotate import display_image, format_score, prediction_row
from flask_server.drawing.caption import MUTED, WARNING, Color, Row
from flask_server.imaging.geometry import Size, seen_box
from flask_server.inference.explain import Explanation, Heat
from model_catalog.spec import InputSpec

#: The colour scale from no heat, 0, to the maximum, 1. Each colour is lighter than the one before,
#: so that the order is visible without colours, too.
COLOR_STOPS: tuple[tuple[float, Color], ...] = (
    (0.0, (44, 24, 110)),
    (0.3, (146, 28, 128)),
    (0.6, (232, 68, 78)),
    (0.85, (255, 152, 46)),
    (1.0, (255, 226, 110)),
)
#: If no cell lowers the score by at least this, there is no heat to draw.
MIN_HEAT = 0.001

_POSITIONS = np.array([position for position, _ in COLOR_STOPS])
_COLORS = np.array([color for _, color in COLOR_STOPS])
#: Opacity of the maximum heat.
_OPACITY = 0.88
#: Factors for the image below the heat; the last one is for parts outside the model's input.
_SATURATION, _BRIGHTNESS, _UNSEEN_BRIGHTNESS = 0.25, 0.62, 0.45

#: One value per pixel and, for colours, per channel.
FloatMap = NDArray[np.float32]


def color_of(share: float) -> Color:
    """Return the colour of a share, 0 to 1, of the maximum heat."""
    red, green, blue = _colors(np.array(share)).round().astype(int).tolist()
    return red, green, blue


def overlaid(image: Image.Image, explanation: Explanation) -> Image.Image:
    """Return the image below its heat, with a legend as caption."""
    displayed = display_image(image)
    shares, seen = _maps(explanation.heat, displayed.size, explanation.input_spec)
    alpha = (_OPACITY * shares)[..., None]
    background = _dimmed(displayed) * np.where(seen, 1, _UNSEEN_BRIGHTNESS)[..., None]
    mixed = background * (1 - alpha) + _colors(shares) * alpha
    heatmap = Image.fromarray(mixed.round().astype(np.uint8))
    return caption.with_caption(heatmap, _legend(explanation))


def _maps(heat: Heat, size: Size, spec: InputSpec) -> tuple[FloatMap, NDArray[np.bool_]]:
    """Return for each pixel its share of the maximum heat, and whether the model sees it."""
    left, top, right, bottom = seen_box(size, spec)
    maximum = max(float(heat.max()), MIN_HEAT)
    grid = Image.fromarray(np.clip(heat / maximum, 0, 1).astype(np.float32))
    shares, seen = Image.new("F", size), Image.new("1", size)
    if heat.max() >= MIN_HEAT:
        smooth = grid.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
        shares.paste(smooth, (left, top))
    seen.paste(1, (left, top, right, bottom))
    return np.clip(np.asarray(shares, np.float32), 0, 1), np.asarray(seen, np.bool_)


def _dimmed(image: Image.Image) -> FloatMap:
    grey = image.convert("L").convert("RGB")
    pale = Image.blend(grey, image, _SATURATION)
    return np.asarray(pale, np.float32) * np.float32(_BRIGHTNESS)


def _colors(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    bands = [np.interp(shares, _POSITIONS, _COLORS[:, band]) for band in range(3)]
    return np.stack(bands, axis=-1)


def _legend(explanation: Explanation) -> Sequence[Row]:
    title = f"{explanation.model}, version {explanation.version}: what it looked at"
    notices = [Row(left=(text,), ink=WARNING, wrapped=True) for text in explanation.warnings]
    best = prediction_row(explanation.prediction)
    return [Row(left=(title,), ink=MUTED), *notices, best, *_scale(float(explanation.heat.max()))]


def _scale(maximum: float) -> Sequence[Row]:
    if maximum < MIN_HEAT:
        return [Row(left=("no single area decides the score",))]
    loss = format_score(maximum).replace("%", "points")
    ends = Row(left=("score lost when hidden: none",), right=loss, ink=MUTED)
    return [ends, Row(background=caption.ramp(color_of))]
