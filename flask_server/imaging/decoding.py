"""Decode bytes into an upright 8-bit picture.

Bytes in, picture out: no request, no settings object, no network. A caller can rely on two
promises: the picture is upright, has 8 bits per channel and no transparency, and every failure is
an ``ImageError``.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, features

from flask_server.errors import CorruptImage, ImageTooLarge, UnsupportedImage

try:  # the extra "heif"
    from pillow_heif import register_heif_opener
except ImportError:
    _EXTRAS: tuple[str, ...] = ()
else:
    register_heif_opener()
    _EXTRAS = ("HEIF",)

#: Formats by Pillow's names; what is not listed is refused before its parser sees a byte.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"),
    *(("AVIF",) if features.check("avif") else ()),
    *_EXTRAS,
)

# ``max_pixels`` is the limit; Pillow's own would raise outside our error tree.
Image.MAX_IMAGE_PIXELS = None
# A damaged EXIF block is no reason to write to the log: the picture decides.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_SIGNATURES = (
    ("JPEG", b"\xff\xd8"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("TIFF", b"II*\x00"),
    ("TIFF", b"MM\x00*"),
    ("TIFF", b"II+\x00"),
    ("TIFF", b"MM\x00+"),
    ("BMP", b"BM"),
)
#: What an ISO media file (its bytes 4 to 8 are "ftyp") calls itself, in words of four letters.
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "HEIF"),
}
#: Brands of any picture or sequence; what stands beside them tells more.
_GENERAL_BRANDS = (b"mif1", b"msf1")

#: What Pillow's parsers raise on damaged files, found by mutating good ones.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_START_OF_SCAN = b"\xff\xda"
#: Progressive JPEGs have about ten, and a picture in their EXIF may have as many.
MOST_SCANS = 50

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Colour modes that Pillow turns into grey by way of RGB only.
_ONLY_TO_RGB = ("LAB",)
#: Orientations that swap width and height.
_SIDEWAYS = range(5, 9)

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture and what was done to it."""

    image: Image.Image
    """Upright, 8 bits per channel, no transparency; any of Pillow's colour modes."""

    format: str
    """The file's format by Pillow's name."""

    stored_size: tuple[int, int]
    """Width and height in the file, before turning and shrinking; a TIFF's are upright already."""

    stored_mode: str
    """Pillow's mode of the file, for example ``RGBA`` or ``CMYK``."""

    orientation: int
    """The EXIF orientation that was applied, 1 for none and for every TIFF."""

    flattened: bool
    """Whether transparency was laid on white."""

    @property
    def upright_size(self) -> Size:
        """Width and height in the file, after turning."""
        width, height = self.stored_size
        return (height, width) if self.orientation in _SIDEWAYS else (width, height)


def decode(
    data: bytes, *, max_pixels: int, bound: Callable[[Size], Size | None] | None = None
) -> Picture:
    """Return the first picture in ``data``.

    The pixel limit is checked on the header, before any pixel is decoded. ``bound`` tells for the
    picture's upright size how large a JPEG must at least stay while it is decoded at a half, a
    quarter or an eighth of its size; without it, or when it says None, nothing shrinks.
    """
    found = sniff(data)
    if found is None or found not in FORMATS:
        received = "of no known format" if found is None else found
        raise UnsupportedImage(f"The picture is {received}; allowed are {', '.join(FORMATS)}.")
    if found == "JPEG":
        _check_scans(data)
    try:
        with Image.open(io.BytesIO(data), formats=(found,)) as image:
            _check_size(image, max_pixels)
            return _upright(image, found, bound)
    except _DAMAGE as error:
        raise CorruptImage(f"The {found} picture is damaged.") from error


def sniff(data: bytes) -> str | None:
    """Return the format that the first bytes announce, or None."""
    if data[4:8] == b"ftyp":
        return _branded([data[i : i + 4] for i in range(8, min(data[3], 64), 4)])
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for name, start in _SIGNATURES if data.startswith(start)), None)


def _branded(brands: list[bytes]) -> str | None:
    known = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return known or ("HEIF" if brands and brands[0] in _GENERAL_BRANDS else None)


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width}x{height} are {width * height} pixels; at most {max_pixels} are allowed."
        )


def _check_scans(data: bytes) -> None:
    """Refuse a JPEG of many scans: each costs the time of a picture, in a dozen bytes."""
    scans = data.count(_START_OF_SCAN)
    if scans > MOST_SCANS:
        raise ImageTooLarge(f"The JPEG picture has {scans} scans; at most {MOST_SCANS} are read.")


def _upright(image: Image.Image, name: str, bound: Callable[[Size], Size | None] | None) -> Picture:
    mode = image.mode
    if name != "JPEG":
        # First, since the orientation may stand behind the pixels, and Pillow turns a TIFF itself.
        image.load()
    size, orientation = image.size, _orientation(image)
    if name == "JPEG" and bound is not None:
        _shrink(image, bound, sideways=orientation in _SIDEWAYS)
    image.load()
    flat = _flat(image)
    turn = _TURNS.get(orientation)
    upright = flat if turn is None else flat.transpose(turn)
    flattened = flat is not image and image.has_transparency_data and not mode.startswith("I")
    return Picture(upright, name, size, mode, orientation, flattened)


def _shrink(image: Image.Image, bound: Callable[[Size], Size | None], *, sideways: bool) -> None:
    """Let the JPEG decoder skip detail that the resize would drop."""
    width, height = image.size
    least = bound((height, width) if sideways else (width, height))
    if least is not None:
        image.draft(None, (least[1], least[0]) if sideways else least)


def _orientation(image: Image.Image) -> int:
    """Read the EXIF orientation; a damaged or senseless one counts as none."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if value in range(1, 9) else 1


def _flat(image: Image.Image) -> Image.Image:
    """Return the picture itself where it has 8 bits and no transparency, else one that has."""
    if image.mode.startswith("I"):
        return _eight_bit(image)
    if image.mode in _ONLY_TO_RGB:
        return image.convert("RGB")
    return _on_white(image) if image.has_transparency_data else image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey values to 8 bits; Pillow's own conversion would clip them."""
    values = np.asarray(image) >> 8
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer)
    return white
