"""Find image files in folders, and make small previews of them."""

from __future__ import annotations

import base64
import io
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.errors import ScriptError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
) | {".heic", ".heif", ".avif"}
#: Longest side of a preview in pixels.
PREVIEW = 160


def find_pictures(places: Iterable[Path]) -> list[Path]:
    """Return the image files in the folders and below, each once, in the order of their names.

    A file that is named itself is taken whatever its suffix. Raises ScriptError if a place is
    missing or there is no image.
    """
    places = list(places)
    found = list(dict.fromkeys(path for place in places for path in _pictures(place)))
    if not found:
        named = ", ".join(map(str, places))
        raise ScriptError(f"{named}: no image found; names that end in {_suffixes()} are read.")
    return found


def _pictures(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    if not place.is_dir():
        raise ScriptError(f"{place} is neither a folder nor a file.")
    for folder, subfolders, names in os.walk(place):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))


def shown_path(path: Path) -> str:
    """Return a path as text that can be written to any file; undecodable bytes are escaped."""
    return shown_text(str(path))


def shown_text(text: str) -> str:
    """Return a text that can be written to any file; half surrogate pairs are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def preview(picture_file: Path | io.BytesIO, side: int = PREVIEW) -> str | None:
    """Return a small JPEG of the image as a data URL, or None if it cannot be read here."""
    from PIL import Image, ImageOps

    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(picture_file) as picture:
                picture.draft("RGB", (side, side))
                upright = ImageOps.exif_transpose(picture)
                upright.thumbnail((side, side))
                _on_white(upright).save(file, "JPEG", quality=80)
    except Exception:  # whatever a damaged file makes the decoder raise
        return None
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _on_white(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if not picture.has_transparency_data:
        return picture.convert("RGB")
    background = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(background, picture.convert("RGBA")).convert("RGB")
