"""Draw a caption below an image: rows of text on a plain background.

Every text has enough contrast, no row is wider than the canvas, and the caption is at most
``MAX_HEIGHT`` pixels high. Knows neither models nor classes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from flask_server.drawing.fonts import drawable_text
from flask_server.imaging.geometry import Box

#: (red, green, blue), 0 to 255.
Color = tuple[int, int, int]
#: Draws the background of a row into its box.
Painter = Callable[[ImageDraw.ImageDraw, Box], None]

BACKGROUND: Color = (21, 25, 32)
EDGE: Color = (94, 104, 120)
TRACK: Color = (43, 50, 61)
BAR: Color = (30, 94, 178)
INK: Color = (255, 255, 255)
MUTED: Color = (176, 184, 196)
WARNING: Color = (255, 199, 92)

#: Minimum width of the canvas; narrower images are centred on it.
MIN_WIDTH = 320
MAX_ROWS = 12
#: Maximum number of entries that a caption lists; the others are counted.
MAX_LISTED = 8
#: Height of a caption with ``MAX_ROWS`` rows in the largest font, in pixels, rounded up.
MAX_HEIGHT = 540
#: Font sizes in pixels, and the mean width of a character as a share of the font size.
FONT_SIZES = range(14, 29)
CHARACTER_WIDTH = 0.5

#: Maximum number of rows of one wrapped text.
_MAX_WRAPPED_ROWS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the caption: a text on the left, one on the right, and a background."""

    left: tuple[str, ...] = ("",)
    """Alternative texts; the first that a font can draw is used."""

    right: str = ""
    ink: Color = INK
    background: Painter | None = None

    wrapped: bool = False
    """Whether a long text is continued in further rows instead of being shortened."""


def heading(title: str, notices: Sequence[str]) -> list[Row]:
    """Return the first rows of a caption: its title, and each notice in a colour of its own."""
    return [
        Row(left=(title,), ink=MUTED),
        *(Row(left=(notice,), ink=WARNING, wrapped=True) for notice in notices),
    ]


def unlisted(count: int) -> list[Row]:
    """Return the row that counts the entries beyond ``MAX_LISTED``; no row if there are none."""
    more = count - MAX_LISTED
    return [Row(left=(f"and {more} more",), ink=MUTED)] if more > 0 else []


def bar(share: float) -> Painter:
    """Return the painter of a bar that fills this share, 0 to 1, of its row."""

    def paint(draw: ImageDraw.ImageDraw, box: Box) -> None:
        left, top, right, bottom = box
        draw.rectangle(box, fill=TRACK)
        filled = round((right - left) * min(max(share, 0.0), 1.0))
        if filled:
            draw.rectangle((left, top, left + filled, bottom), fill=BAR)

    return paint


def ramp(colors: Callable[[float], Color]) -> Painter:
    """Return the painter of a colour scale from 0 on the left to 1 on the right."""

    def paint(draw: ImageDraw.ImageDraw, box: Box) -> None:
        left, top, right, bottom = box
        for x in range(left, right + 1):
            color = colors((x - left) / (right - left))
            draw.line((x, top, x, bottom), fill=color)

    return paint


def with_caption(image: Image.Image, rows: Sequence[Row]) -> Image.Image:
    """Return the image with the rows below it."""
    width = max(MIN_WIDTH, image.width)
    font_size = min(max(width // 40, FONT_SIZES.start), FONT_SIZES.stop - 1)
    step, margin = round(font_size * 1.45), round(font_size * 0.6)
    lines = _lines(rows, (width - 4 * margin) / (font_size * CHARACTER_WIDTH))
    height = image.height + len(lines) * step + 2 * margin
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    canvas.paste(image, ((width - image.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    # This line separates a dark image from the background.
    draw.line((0, image.height, width, image.height), fill=EDGE)
    for number, row in enumerate(lines):
        top = image.height + margin + number * step
        _draw_row(draw, row, (margin, top, width - margin - 1, top + step - 1), font_size)
    return canvas


def _lines(rows: Sequence[Row], columns: float) -> list[Row]:
    """Split wrapped rows into several, and limit the number of rows."""
    lines: list[Row] = []
    for row in rows:
        parts = textwrap.wrap(row.left[0], int(columns)) if row.wrapped else []
        cut = [replace(row, left=(part,)) for part in parts[:_MAX_WRAPPED_ROWS]]
        lines += cut or [row]
    return lines[:MAX_ROWS]


def _draw_row(draw: ImageDraw.ImageDraw, row: Row, box: Box, font_size: int) -> None:
    left, top, right, bottom = box
    gap = font_size // 2
    if row.background is not None:
        # A gap of one or two pixels keeps the bars of two rows apart.
        row.background(draw, (left, top + 1, right, bottom - 2))
    middle = (top + bottom) // 2
    right_text = drawable_text(font_size, row.right) if row.right else None
    if right_text is not None:
        draw.text((right - gap, middle), right_text.text, row.ink, right_text.font, "rm")
    room = right - left - 2 * gap - (right_text.width + gap if right_text else 0)
    if any(row.left):
        left_text = drawable_text(font_size, *row.left).shortened(room)
        draw.text((left + gap, middle), left_text.text, row.ink, left_text.font, "lm")
