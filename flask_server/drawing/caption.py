"""Draw rows of text on a ground of their own below a picture, so that they hide nothing of it.

Knows neither models nor classes. A caller can rely on three promises: every text has enough
contrast, whatever the picture; no row is wider than the picture's canvas; and the sizes are bounded
by ``MOST_HEIGHT``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from flask_server.drawing.fonts import words

Color = tuple[int, int, int]
Box = tuple[int, int, int, int]
Painter = Callable[[ImageDraw.ImageDraw, Box], None]

GROUND: Color = (21, 25, 32)
EDGE: Color = (94, 104, 120)
TRACK: Color = (43, 50, 61)
BAR: Color = (30, 94, 178)
INK: Color = (255, 255, 255)
MUTED: Color = (176, 184, 196)
WARNING: Color = (255, 199, 92)

#: Narrower pictures stand in the middle of a canvas of this width: text needs room.
LEAST_WIDTH = 320
#: How much the rows may add to a picture's height.
MOST_ROWS = 12
MOST_HEIGHT = 540
#: Sizes of letters in pixels, and how wide the average letter is for its size.
LETTERS = range(14, 29)
LETTER_WIDTH = 0.5

_WRAPPED_LINES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of text, something to the right of it, something behind it."""

    left: tuple[str, ...] = ("",)
    """Wordings, the best one first; the first that can be drawn is taken."""

    right: str = ""
    ink: Color = INK
    paint: Painter | None = None

    wrapped: bool = False
    """Whether a long text goes on in further rows instead of being shortened."""


def bar(share: float) -> Painter:
    """Return the painter of a bar that fills this share of its row."""

    def paint(draw: ImageDraw.ImageDraw, box: Box) -> None:
        left, top, right, bottom = box
        draw.rectangle(box, fill=TRACK)
        filled = round((right - left) * min(max(share, 0.0), 1.0))
        if filled:
            draw.rectangle((left, top, left + filled, bottom), fill=BAR)

    return paint


def ramp(colors: Callable[[float], Color]) -> Painter:
    """Return the painter of a strip that shows the colours from 0 on the left to 1 on the right."""

    def paint(draw: ImageDraw.ImageDraw, box: Box) -> None:
        left, top, right, bottom = box
        for x in range(left, right + 1):
            color = colors((x - left) / (right - left))
            draw.line((x, top, x, bottom), fill=color)

    return paint


def below(picture: Image.Image, rows: Sequence[Row]) -> Image.Image:
    """Return the picture with the rows below it."""
    width = max(LEAST_WIDTH, picture.width)
    letters = min(max(width // 40, LETTERS.start), LETTERS.stop - 1)
    step, margin = round(letters * 1.45), round(letters * 0.6)
    lines = _lines(rows, (width - 4 * margin) / (letters * LETTER_WIDTH))
    height = picture.height + len(lines) * step + 2 * margin
    canvas = Image.new("RGB", (width, height), GROUND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    # A dark picture must not flow into the ground.
    draw.line((0, picture.height, width, picture.height), fill=EDGE)
    for number, row in enumerate(lines):
        top = picture.height + margin + number * step
        _draw_row(draw, row, (margin, top, width - margin - 1, top + step - 1), letters)
    return canvas


def _lines(rows: Sequence[Row], columns: float) -> list[Row]:
    """Give wrapped rows as many lines as they need."""
    lines: list[Row] = []
    for row in rows:
        parts = textwrap.wrap(row.left[0], int(columns)) if row.wrapped else []
        cut = [replace(row, left=(part,)) for part in parts[:_WRAPPED_LINES]]
        lines += cut or [row]
    return lines[:MOST_ROWS]


def _draw_row(draw: ImageDraw.ImageDraw, row: Row, box: Box, letters: int) -> None:
    left, top, right, bottom = box
    gap = letters // 2
    if row.paint is not None:
        # A hair of ground between two rows keeps their bars apart.
        row.paint(draw, (left, top + 1, right, bottom - 2))
    middle = (top + bottom) // 2
    number = words(letters, row.right) if row.right else None
    if number is not None:
        draw.text((right - gap, middle), number.text, row.ink, number.font, "rm")
    room = right - left - 2 * gap - (number.width + gap if number else 0)
    if any(row.left):
        text = words(letters, *row.left).shortened(room)
        draw.text((left + gap, middle), text.text, row.ink, text.font, "lm")
