"""Find letters for a text: a font that has them all, or else other words for the same thing.

Pillow brings one font along, which knows little more than ASCII; what it lacks is looked for among
the fonts of the machine. A caller can rely on one promise: whatever a label holds, there is
something to draw, on one line and without empty boxes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

from PIL import ImageFont

#: Fonts that common systems have, those with the most scripts first.
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
BUNDLED = ""

#: More letters than any line has room for; a label may have millions.
_MOST_LETTERS = 200
_ELLIPSIS = "..."
#: A code point that no font has.
_NOBODY = "\U0010ffff"
_PROBE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Words:
    """A text and the font to draw it with."""

    text: str
    font: ImageFont.FreeTypeFont

    @property
    def width(self) -> float:
        """How many pixels the text is wide."""
        return self.font.getlength(self.text)

    def shortened(self, width: float) -> Words:
        """Return as much of the text as fits, with an ellipsis where it was cut."""
        if self.width <= width:
            return self
        least, most = 0, len(self.text)
        while least < most:
            middle = (least + most + 1) // 2
            if self._cut(middle).width <= width:
                least = middle
            else:
                most = middle - 1
        return self._cut(least)

    def _cut(self, length: int) -> Words:
        return replace(self, text=self.text[:length].rstrip() + _ELLIPSIS)


def words(size: int, *wordings: str, fonts: Sequence[str] = SYSTEM_FONTS) -> Words:
    """Return the first wording that can be drawn in this size; without accents if need be."""
    for text, names in _attempts(wordings, fonts):
        for name in names:
            font = _font(name, size)
            if text and font is not None and all(_has(name, letter) for letter in text):
                return Words(text, font)
    known = (letter if _has(BUNDLED, letter) else "?" for letter in _line(wordings[0]))
    return Words("".join(known) or "?", _bundled(size))


def _attempts(wordings: Sequence[str], fonts: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    for wording in wordings:
        line = _line(wording)
        yield line, (BUNDLED, *fonts)
        yield _without_accents(line), (BUNDLED,)


def _line(text: str) -> str:
    """Return the start of the text on one line, without what is not there to be seen."""
    line = " ".join(text[:_MOST_LETTERS].split())
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
    # With a size it is never the bitmap font.
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


@lru_cache(maxsize=4096)
def _has(name: str, letter: str) -> bool:
    return letter == " " or _shape(name, letter) != _shape(name, _NOBODY)


def _shape(name: str, letter: str) -> tuple[tuple[int, int], bytes] | None:
    """Return what the font draws; Pillow does not tell which letters a font has."""
    font = _font(name, _PROBE_SIZE)
    if font is None:
        return None
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
