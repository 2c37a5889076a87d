"""Draw the heat map of an explanation over its image.

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
from flask_server.drawing.caption import MUTED, Color, Row
from flask_server.imaging.geometry import Box, Size, seen_box
from flask_server.inference.explain import Explanation, Heat

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

#: Rows are drawn together up to this number of pixels, since their fractions take 150 bytes each.
_BAND_PIXELS = 1 << 14

#: One value per pixel and, for colours, per channel.
FloatMap = NDArray[np.float32]


def color_of(share: float) -> Color:
    """Return the colour of a share, 0 to 1, of the maximum heat."""
    red, green, blue = _colors(np.array(share)).round().astype(int).tolist()
    return red, green, blue


def overlaid(image: Image.Image, explanation: Explanation) -> Image.Image:
    """Return the image below its heat, with a legend as caption."""
    displayed = display_image(image)
    width, height = displayed.size
    seen = seen_box(displayed.size, explanation.input_spec)
    shares = _shares(explanation.heat, displayed.size, seen)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = (0, top, width, min(height, top + rows))
        brightness = _brightness(band, seen)
        mixed = _mixed(displayed.crop(band), shares.crop(band), brightness)
        displayed.paste(mixed, band)
    return caption.with_caption(displayed, _legend(explanation))


def _mixed(
    image: Image.Image, shares: Image.Image, brightness: NDArray[np.floating]
) -> Image.Image:
    """Return some rows of the image below their heat."""
    heat = np.clip(np.asarray(shares, np.float32), 0, 1)
    alpha = (_OPACITY * heat)[..., None]
    mixed = _dimmed(image) * brightness * (1 - alpha) + _colors(heat) * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))


def _brightness(band: Box, seen: Box) -> NDArray[np.floating]:
    """Return a factor for each pixel of some rows: lower outside the part that the model sees."""
    left, top, right, bottom = seen
    first, last = (min(max(row - band[1], 0), band[3] - band[1]) for row in (top, bottom))
    factors = np.full((band[3] - band[1], band[2], 1), _UNSEEN_BRIGHTNESS)
    # Padding extends beyond the image; a negative index would count from the right.
    factors[first:last, max(left, 0) : right] = 1
    return factors


def _shares(heat: Heat, size: Size, seen: Box) -> Image.Image:
    """Return for each pixel its share of the maximum heat."""
    left, top, right, bottom = seen
    maximum = max(float(heat.max()), MIN_HEAT)
    grid = Image.fromarray(np.clip(heat / maximum, 0, 1).astype(np.float32))
    shares = Image.new("F", size)
    if heat.max() >= MIN_HEAT:
        smooth = grid.resize((right - left, bottom - top), Image.Resampling.BICUBIC)
        shares.paste(smooth, (left, top))
    return shares


def _dimmed(image: Image.Image) -> FloatMap:
    grey = image.convert("L").convert("RGB")
    pale = Image.blend(grey, image, _SATURATION)
    return np.asarray(pale, np.float32) * np.float32(_BRIGHTNESS)


def _colors(shares: NDArray[np.floating]) -> NDArray[np.float64]:
    bands = [np.interp(shares, _POSITIONS, _COLORS[:, band]) for band in range(3)]
    return np.stack(bands, axis=-1)


def _legend(explanation: Explanation) -> Sequence[Row]:
    title = f"{explanation.model}, version {explanation.version}: what it looked at"
    heading = caption.heading(title, explanation.warnings)
    best = prediction_row(explanation.prediction)
    return [*heading, best, *_scale(float(explanation.heat.max()))]


def _scale(maximum: float) -> Sequence[Row]:
    if maximum < MIN_HEAT:
        return [Row(left=("no single cell decides the score",))]
    loss = format_score(maximum).replace("%", "points")
    ends = Row(left=("score lost when hidden: none",), right=loss, ink=MUTED)
    return [ends, Row(background=caption.ramp(color_of))]
