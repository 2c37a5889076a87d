"""Decode the bytes of an image file.

The decoded image is upright, has 8 bits per channel and no transparency. Every failure is an
``ImageError``. No request, no settings object, no network.
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
from flask_server.imaging.geometry import Size

try:  # the extra "heif"
    from pillow_heif import register_heif_opener
except ImportError:
    _EXTRA_FORMATS: tuple[str, ...] = ()
else:
    register_heif_opener()
    _EXTRA_FORMATS = ("HEIF",)

#: Allowed formats by Pillow's names; any other is refused before a parser reads it.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"),
    *(("AVIF",) if features.check("avif") else ()),
    *_EXTRA_FORMATS,
)

# ``decode`` checks ``max_pixels``; Pillow's own limit would raise an error of another kind.
Image.MAX_IMAGE_PIXELS = None
# A damaged EXIF block must not fill the log: it does not matter if the image is readable.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

#: Formats by the first bytes of a file.
_MAGIC_BYTES = (
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
#: Formats by the brands of an ISO media file: codes of four letters after "ftyp".
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "HEIF"),
}
#: Brands of any image or sequence; another brand of the file may be more specific.
_GENERAL_BRANDS = (b"mif1", b"msf1")

#: What Pillow's parsers raise for damaged files, found by fuzzing.
_DAMAGE_ERRORS = (
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
#: Maximum number of scans in a JPEG file. A progressive JPEG has about ten, and the thumbnail in
#: its EXIF block may have as many.
MAX_SCANS = 50

#: The EXIF tag of the orientation, and how each of its values is turned upright.
_ORIENTATION_TAG = 0x0112
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Colour modes that Pillow converts to RGB, but not directly to grey.
_ONLY_TO_RGB = ("LAB",)
#: Orientations that swap width and height.
_SIDEWAYS = range(5, 9)

#: Returns for an upright size the minimum size that decoding must keep; None means full size.
MinSize = Callable[[Size], Size | None]


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image, and what decoding did."""

    image: Image.Image
    """Upright, 8 bits per channel, no transparency, in any of Pillow's colour modes."""

    format: str
    """The file's format by Pillow's name."""

    stored_size: Size
    """Size in the file, before turning and shrinking; for a TIFF, after turning."""

    stored_mode: str
    """Pillow's colour mode of the file, for example ``RGBA`` or ``CMYK``."""

    orientation: int
    """The EXIF orientation that was applied; 1 means none, and is used for every TIFF."""

    flattened: bool
    """Whether transparency was composed with white."""

    @property
    def upright_size(self) -> Size:
        """Size in the file, after turning."""
        width, height = self.stored_size
        return (height, width) if self.orientation in _SIDEWAYS else (width, height)


def decode(data: bytes, *, max_pixels: int, min_size: MinSize | None = None) -> DecodedImage:
    """Return the first image in ``data``, or raise an ImageError.

    The pixel limit is checked on the header, before any pixel is decoded. With ``min_size``, a JPEG
    is decoded at a half, a quarter or an eighth of its size, if that is at least ``min_size``.
    """
    found = sniff(data)
    if found is None or found not in FORMATS:
        received = "of no known format" if found is None else found
        raise UnsupportedImage(f"The image is {received}; allowed are {', '.join(FORMATS)}.")
    if found == "JPEG":
        _check_scans(data)
    try:
        with Image.open(io.BytesIO(data), formats=(found,)) as image:
            _check_size(image, max_pixels)
            return _upright(image, found, min_size)
    except _DAMAGE_ERRORS as error:
        raise CorruptImage(f"The {found} image is damaged.") from error


def sniff(data: bytes) -> str | None:
    """Return the format that the first bytes declare, or None."""
    if data[4:8] == b"ftyp":
        return _format_of_brands([data[i : i + 4] for i in range(8, min(data[3], 64), 4)])
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for name, start in _MAGIC_BYTES if data.startswith(start)), None)


def _format_of_brands(brands: list[bytes]) -> str | None:
    known = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    return known or ("HEIF" if brands and brands[0] in _GENERAL_BRANDS else None)


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width}x{height} are {width * height} pixels; at most {max_pixels} are allowed."
        )


def _check_scans(data: bytes) -> None:
    """Refuse a JPEG with many scans: a scan has a dozen bytes and takes as long as an image."""
    scans = data.count(_START_OF_SCAN)
    if scans > MAX_SCANS:
        raise ImageTooLarge(f"The JPEG image has {scans} scans; at most {MAX_SCANS} are allowed.")


def _upright(image: Image.Image, format_name: str, min_size: MinSize | None) -> DecodedImage:
    mode = image.mode
    if format_name != "JPEG":
        # Before the orientation is read: it may follow the pixels, and Pillow turns a TIFF itself.
        image.load()
    size, orientation = image.size, _orientation(image)
    if format_name == "JPEG" and min_size is not None:
        _shrink(image, min_size, sideways=orientation in _SIDEWAYS)
    image.load()
    flat = _flat(image)
    transposition = _TRANSPOSITIONS.get(orientation)
    upright = flat if transposition is None else flat.transpose(transposition)
    flattened = flat is not image and image.has_transparency_data and not mode.startswith("I")
    return DecodedImage(upright, format_name, size, mode, orientation, flattened)


def _shrink(image: Image.Image, min_size: MinSize, *, sideways: bool) -> None:
    """Configure the JPEG decoder to decode a smaller image, which is faster."""
    width, height = image.size
    size = min_size((height, width) if sideways else (width, height))
    if size is not None:
        image.draft(None, (size[1], size[0]) if sideways else size)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 if it is missing, damaged or invalid."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DAMAGE_ERRORS:
        return 1
    return value if value in range(1, 9) else 1


def _flat(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits per channel and without transparency."""
    if image.mode.startswith("I"):
        return _eight_bit(image)
    if image.mode in _ONLY_TO_RGB:
        return image.convert("RGB")
    return _on_white(image) if image.has_transparency_data else image


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit levels to 8 bits; Pillow's own conversion would clip them."""
    values = np.asarray(image) >> 8
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer)
    return white
