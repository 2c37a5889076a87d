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

from PIL import Image

from flask_server.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from flask_server.imaging import libtiff
from flask_server.imaging.files import bmp, exif, gif, iso_media, jpeg, png, tiff, webp
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.flattening import BAND_BYTES, BAND_PIXELS, flatten, is_transparent
from flask_server.imaging.formats import FORMATS, sniff
from flask_server.imaging.geometry import FloatBox, Size
from flask_server.imaging.orientation import SIDEWAYS, turned_box
from flask_server.imaging.resource_errors import is_resource_error

# ``read_header`` checks ``max_pixels``; Pillow's own limit would raise an error of another kind.
Image.MAX_IMAGE_PIXELS = None
libtiff.silence()
# A damaged EXIF block must not fill the log: it does not matter if the image is readable.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

#: Exceptions that Pillow's parsers raise for damaged files, found by fuzzing.
_DAMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

#: How each EXIF orientation is turned upright.
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: Returns for an upright size the minimum size that decoding must keep; None means full size.
MinSize = Callable[[Size], Size | None]

#: Reads the structure of a file, by format; raises an ImageError.
_STRUCTURES: dict[str, Callable[[bytes], FileStructure]] = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "WEBP": webp.read,
    "GIF": gif.read,
    "TIFF": tiff.read,
    "BMP": bmp.read,
    "AVIF": iso_media.read,
    "HEIF": iso_media.read,
}
#: Bytes of memory per pixel of an image in colour.
RGB_BYTES = 4
#: Bytes of memory that decoding takes in any size: tables and buffers.
_OVERHEAD_BYTES = 1 << 20
#: Bytes of memory per row of pixels, in all images that exist at once.
_ROW_BYTES = 64


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image, and what decoding did."""

    image: Image.Image
    """Upright, 8 bits per channel, no transparency, in any of Pillow's colour modes."""

    format: str
    """The file's format by Pillow's name."""

    stored_size: Size
    """Size in the file, before turning and shrinking; for most TIFF images, after turning."""

    stored_mode: str
    """Pillow's colour mode of the file, for example ``RGBA`` or ``CMYK``."""

    orientation: int
    """The EXIF orientation that was applied; 1 means none, and is used for most TIFF images."""

    flattened: bool
    """Whether transparency was composed with white."""

    part: FloatBox | None = None
    """The part of a smaller copy that the stored image covers; None means all of it."""

    @property
    def covered(self) -> FloatBox:
        """The part of the image that the stored one covers.

        A JPEG of 1001 pixels that is decoded at an eighth has 126, of which the last stands for one
        pixel only.
        """
        return self.part or (0, 0, *self.image.size)

    @property
    def upright_size(self) -> Size:
        """Size in the file, after turning."""
        width, height = self.stored_size
        return (height, width) if self.orientation in SIDEWAYS else (width, height)


class EncodedImage:
    """An image file whose structure has been read and whose pixels have not."""

    def __init__(
        self, format_name: str, structure: FileStructure, min_size: MinSize | None
    ) -> None:
        self.format = format_name
        self._structure = structure
        self._divisor = self._largest_divisor(min_size)

    @property
    def upright_size(self) -> Size:
        """Width and height after turning, before any shrinking."""
        width, height = self._structure.size
        return (height, width) if self._structure.orientation in SIDEWAYS else (width, height)

    @property
    def peak_bytes(self) -> int:
        """Upper bound of the memory that decoding and a conversion to RGB or grey take."""
        structure, divisor = self._structure, self._divisor
        width, height = structure.size
        pixels = -(-width // divisor) * -(-height // divisor)
        held, flat, opaque = structure.loaded_bytes, self._flat_bytes, self._becomes_opaque
        stages = (
            structure.peak_bytes,
            held + flat if structure.transparent or structure.grey_bits > 8 else held,
            2 * flat if structure.orientation != 1 else flat,
            # Fractions become grey first.
            flat + (1 if structure.is_rgb or opaque else RGB_BYTES + (held > 2)),
        )
        band = BAND_BYTES * min(pixels, BAND_PIXELS)
        fixed = structure.fixed_bytes + len(structure.data) + band + _ROW_BYTES * height
        fixed += _OVERHEAD_BYTES
        return int(max(stages) * pixels) + fixed

    @property
    def decoded_bytes(self) -> int:
        """Upper bound of the memory that the decoded image takes, if it is not shrunk."""
        width, height = self._structure.size
        return int(self._flat_bytes * width * height)

    @property
    def _becomes_opaque(self) -> bool:
        """Whether an image in RGB may be made, in which transparency is composed with white."""
        return self._structure.transparent and self._structure.loaded_bytes > 1

    @property
    def _flat_bytes(self) -> float:
        """Bytes of memory per pixel of the image with 8 bits per channel and no transparency."""
        in_rgb = self._becomes_opaque or self._structure.frame is not None
        return RGB_BYTES if in_rgb else self._structure.loaded_bytes

    def decode(self) -> DecodedImage:
        """Return the decoded image, or raise an ImageError."""
        try:
            return self._decode()
        except _DAMAGE_ERRORS as error:
            raise _damage(self.format, error) from error

    def _largest_divisor(self, min_size: MinSize | None) -> int:
        """Return by how much the sides of a JPEG are divided while it is decoded."""
        size = min_size(self.upright_size) if min_size and self._structure.shrinkable else None
        if size is None:
            return 1
        scale = min(have // need for have, need in zip(self.upright_size, size, strict=True))
        return next((divisor for divisor in (8, 4, 2) if scale >= divisor), 1)

    def _decode(self) -> DecodedImage:
        structure = self._structure
        image = structure.draw() if structure.draw else self._open()
        mode, size = image.mode, image.size
        if self._divisor > 1:
            image.draft(None, (size[0] // self._divisor, size[1] // self._divisor))
        image.load()
        size = image.size if self._divisor == 1 else size
        orientation = structure.orientation
        if orientation is None:
            orientation = exif.orientation(image.info.get("exif") or b"")
        flattened = structure.frame is not None or is_transparent(image, structure)
        flat = flatten(image, structure)
        del image
        part = None
        if self._divisor > 1:
            stored = (0.0, 0.0, size[0] / self._divisor, size[1] / self._divisor)
            part = turned_box(stored, flat.size, orientation)
        transposition = _TRANSPOSITIONS.get(orientation)
        upright = flat if transposition is None else flat.transpose(transposition)
        return DecodedImage(upright, self.format, size, mode, orientation, flattened, part)

    def _open(self) -> Image.Image:
        file = io.BytesIO(self._structure.data)
        try:
            return Image.open(file, formats=(self.format,))
        except _DAMAGE_ERRORS as error:
            if self._structure.variant and not is_resource_error(error):
                raise UnsupportedImage(
                    f"The {self.format} image has {self._structure.variant}, which is not read."
                ) from error
            raise


def read_header(data: bytes, *, max_pixels: int, min_size: MinSize | None = None) -> EncodedImage:
    """Return the first image in ``data`` before it is decoded, or raise an ImageError.

    The pixel limit and the cost of decoding are checked on the structure of the file. With
    ``min_size``, a JPEG is decoded at a half, a quarter or an eighth of its size, if that is at
    least ``min_size``.
    """
    found = sniff(data)
    if found is None or found not in FORMATS:
        received = "of no known format" if found is None else found
        raise UnsupportedImage(f"The image is {received}; allowed are {', '.join(FORMATS)}.")
    try:
        structure = _STRUCTURES[found](data)
    except _DAMAGE_ERRORS as error:
        raise _damage(found, error) from error
    _check_size(found, structure.size, max_pixels)
    return EncodedImage(found, structure, min_size)


def _damage(name: str, error: Exception) -> Exception:
    """Return what to raise for an exception of a parser; MemoryError if the image is not at fault.

    MemoryError also stands for a lack of threads or file descriptors.
    """
    if is_resource_error(error):
        return MemoryError("an image could not be decoded")
    return CorruptImage(f"The {name} image is damaged.")


def _check_size(name: str, size: Size, max_pixels: int) -> None:
    width, height = size
    if not width or not height:
        raise CorruptImage(f"The {name} image is damaged: its size is {width}x{height}.")
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width}x{height} are {width * height} pixels; at most {max_pixels} are allowed."
        )
