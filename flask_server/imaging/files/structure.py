"""Facts about an image file that are known before it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from flask_server.imaging.geometry import Box, Size


@dataclass(frozen=True, kw_only=True, slots=True)
class FileStructure:
    """What the parts of a file say that decide its pixels; all else is left out."""

    data: bytes
    """The file, in most formats without metadata and without what follows the image."""

    size: Size
    """Width and height as stored."""

    loaded_bytes: float
    """Bytes of memory per pixel that the decoded image holds."""

    peak_bytes: float
    """Bytes of memory per stored pixel that decoding takes, the decoded image included."""

    is_rgb: bool = False
    """Whether the decoded image needs no conversion for a model in colour."""

    transparent: bool = False
    """Whether pixels may be transparent, so that a second image is made."""

    fixed_bytes: int = 0
    """Bytes of memory that decoding takes in any size, for example for coefficients."""

    orientation: int | None = 1
    """The EXIF orientation, 1 to 8; None if only the decoder finds it."""

    shrinkable: bool = False
    """Whether the decoder can decode the image at a part of its size."""

    frame: Box | None = None
    """The part of the image that the first frame covers, if it is not all of it."""

    transparent_grey: int | None = None
    """The grey value that is transparent, in the levels of the file."""

    transparent_rgb: tuple[int, ...] | None = None
    """The colour of 16 bits per channel that is transparent."""

    grey_bits: int = 8
    """Bits per grey value."""

    inverted: bool = False
    """Whether 0 is white, and Pillow does not know it."""

    variant: str = ""
    """The coding in words, if a decoder that cannot open the file does not know the coding."""

    draw: Callable[[], Image.Image] | None = None
    """Decodes the file where Pillow's decoder must not be used."""
