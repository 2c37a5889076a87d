"""Choose a font that can draw a text, or an alternative text that a font can draw.

The font that comes with Pillow has little more than ASCII; other characters need a font of the
system. For every label there is a text to draw, on one line and without boxes for missing
characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from PIL import ImageFont

from flask_server.imaging.geometry import Size

#: Fonts of common systems, those with the most scripts first.
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "msyh.ttc",
    "malgun.ttf",
    "Nirmala.ttf",
)
#: Stands for Pillow's own font in a list of font files.
BUNDLED = ""

#: More characters than any line has room for; a label may have millions.
_MAX_CHARACTERS = 200
_ELLIPSIS = "..."
#: A code point that no font has; its shape is that of a missing character.
_MISSING = "\U0010ffff"
#: Font size at which shapes are compared.
_PROBE_SIZE = 20


@dataclass(frozen=True, slots=True)
class DrawableText:
    """A text and a font that has all its characters."""

    text: str
    font: ImageFont.FreeTypeFont

    @property
    def width(self) -> float:
        """The width of the text in pixels."""
        return self.font.getlength(self.text)

    def shortened(self, width: float) -> DrawableText:
        """Return as much of the text as fits into the width, with an ellipsis if it is cut."""
        if self.width <= width:
            return self
        low, high = 0, len(self.text)
        while low < high:
            middle = (low + high + 1) // 2
            if self._cut(middle).width <= width:
                low = middle
            else:
                high = middle - 1
        return self._cut(low)

    def _cut(self, length: int) -> DrawableText:
        return replace(self, text=self.text[:length].rstrip() + _ELLIPSIS)


def drawable_text(
    size: int, *alternatives: str, fonts: Sequence[str] = SYSTEM_FONTS
) -> DrawableText:
    """Return the first alternative that a font can draw in this size, if need be without accents.

    If there is none, the first alternative with question marks.
    """
    for text, names in _candidates(alternatives, fonts):
        for name in names:
            font = _font(name, size)
            if text and font is not None and all(_has(name, character) for character in text):
                return DrawableText(text, font)
    line = _line(alternatives[0])
    replaced = (character if _has(BUNDLED, character) else "?" for character in line)
    return DrawableText("".join(replaced) or "?", _bundled(size))


def _candidates(
    alternatives: Sequence[str], fonts: Sequence[str]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield each text to try with the fonts to try it with."""
    for alternative in alternatives:
        line = _line(alternative)
        yield line, (BUNDLED, *fonts)
        yield _without_accents(line), (BUNDLED,)


def _line(text: str) -> str:
    """Return the start of the text on one line, without invisible characters."""
    line = " ".join(text[:_MAX_CHARACTERS].split())
    return unicodedata.normalize("NFC", "".join(filter(str.isprintable, line)))


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.combining(part))


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    if name == BUNDLED:
        return _bundled(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(maxsize=64)
def _bundled(size: int) -> ImageFont.FreeTypeFont:
    # With a size, Pillow never returns its bitmap font.
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


@lru_cache(maxsize=4096)
def _has(name: str, character: str) -> bool:
    return character == " " or _shape(name, character) != _shape(name, _MISSING)


def _shape(name: str, character: str) -> tuple[Size, bytes] | None:
    """Return the drawn shape: Pillow cannot tell which characters a font has."""
    font = _font(name, _PROBE_SIZE)
    if font is None:
        return None
    mask = font.getmask(character)
    return mask.size, bytes(mask)
