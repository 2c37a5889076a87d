"""Draw the label map of a segmentation: as a PNG with a palette, or over its image."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from flask_server.drawing import caption
from flask_server.drawing.annotate import display_image, format_score
from flask_server.drawing.caption import TRACK, Color, Painter, Row
from flask_server.imaging.geometry import Box
from flask_server.imaging.label_maps import UNSEEN, ClassMap, LabelMap

#: Bytes of memory per pixel: the map, and its file.
MAP_BYTES = 4

_OPACITY = 0.55
#: The golden section of the colour circle: neighbouring classes get very different hues.
_HUE_STEP = 0.618034
_UNSEEN_COLOR = (0, 0, 0)
#: Less than the space that a caption leaves before its text.
_SWATCH_WIDTH = 5


@cache
def colors() -> tuple[Color, ...]:
    """Return the colour of each class, and as the last one that of pixels that are not seen."""
    return (*map(_color, range(UNSEEN)), _UNSEEN_COLOR)


def _color(index: int) -> Color:
    hue, level = index * _HUE_STEP % 1, index % 3
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.75, 0.5, 0.95)[level], (0.95, 0.8, 0.65)[level])
    return round(red * 255), round(green * 255), round(blue * 255)


def palette_file(classes: ClassMap) -> bytes:
    """Return a PNG with a palette whose pixel values are the numbers of the classes.

    Pixels that the model does not see have the value 255 and are transparent.
    """
    image = Image.fromarray(classes)
    image.putpalette([level for color in colors() for level in color])
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes([255] * UNSEEN + [0]), compress_level=3)
    return file.getvalue()


def overlaid(
    image: Image.Image,
    label_map: LabelMap,
    shares: Sequence[tuple[int, str, float]],
    *,
    title: str,
    notices: Sequence[str],
) -> Image.Image:
    """Return the image with the classes in colour over it, and a legend as caption.

    ``shares`` are number, label and share of the classes in the image, the largest first.
    """
    displayed = display_image(image)
    classes = label_map.pixels(displayed.size)
    paint = Image.fromarray(np.array(colors(), np.uint8)[classes])
    mask = Image.fromarray(np.where(classes == UNSEEN, 0, round(255 * _OPACITY)).astype(np.uint8))
    displayed.paste(paint, (0, 0), mask)
    return caption.with_caption(displayed, _legend(shares, title, notices))


def _swatch(number: int) -> Painter:
    """Return the painter of a row's background with the colour of a class at its left edge."""

    def paint(draw: ImageDraw.ImageDraw, box: Box) -> None:
        left, top, _, bottom = box
        draw.rectangle(box, fill=TRACK)
        draw.rectangle((left, top, left + _SWATCH_WIDTH, bottom), fill=colors()[number])

    return paint


def _legend(
    shares: Sequence[tuple[int, str, float]], title: str, notices: Sequence[str]
) -> list[Row]:
    listed = [
        Row(left=(label,), right=format_score(share), background=_swatch(number))
        for number, label, share in shares[: caption.MAX_LISTED]
    ]
    return [*caption.heading(title, notices), *listed, *caption.unlisted(len(shares))]
