"""Structure of PNG files.

A decoder gets the header, the palette, the transparency and the pixels. Other chunks decide
nothing: a damaged or huge text or colour profile leaves the image as it is.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from flask_server.errors import CorruptImage, UnsupportedImage
from flask_server.imaging.files.exif import orientation
from flask_server.imaging.files.structure import FileStructure

#: Maximum number of chunks. An encoder that writes 1 kB of pixels in each needs 32,768 for the
#: largest body.
MAX_CHUNKS: Final = 100_000
#: Maximum bytes to which a text chunk with an orientation is inflated.
MAX_TEXT_BYTES: Final = 1 << 20

_GREY, _RGB, _PALETTE = 0, 2, 3
_CHANNELS: Final = {_GREY: 1, _RGB: 3, _PALETTE: 1, 4: 2, 6: 4}
_XMP: Final = b"XML:com.adobe.xmp\0"
_RAW_EXIF: Final = b"Raw profile type exif\0"
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"


@dataclass(slots=True)
class _Chunks:
    """The chunks that matter."""

    header: bytes = b""
    parts: list[bytes] = field(default_factory=list)
    pixels: tuple[int, int] | None = None
    colours: int = 0
    """Colours of the palette."""

    transparency: bytes | None = None
    exif: bytes = b""
    raw_exif: bytes | None = None
    xmp: bytes = b""

    def add(self, kind: bytes, content: bytes, chunk: bytes) -> None:
        """Take what matters of a chunk that is not part of the pixels."""
        if kind == b"IHDR" and not self.header:
            self.header = content
            self.parts.append(chunk)
        elif kind == b"PLTE" and self.pixels is None:
            self.colours = len(content) // 3
            self.parts.append(chunk)
        elif kind == b"tRNS" and self.pixels is None and self._is_transparency(content):
            self.transparency = content
            self.parts.append(chunk)
        elif kind == b"eXIf":
            self.exif = content
        elif kind == b"iTXt" and content.startswith(_XMP):
            self.xmp = content
        elif self.raw_exif is None and _is_raw_profile(kind, content):
            self.raw_exif = _raw_profile(kind, content[len(_RAW_EXIF) :])

    def _is_transparency(self, content: bytes) -> bool:
        """Return whether the first transparency has a valid length; libpng ignores all others."""
        colour = self.header[9] if len(self.header) > 9 else -1
        if self.transparency is not None:
            return False
        if colour == _PALETTE:
            return 0 < len(content) <= self.colours
        return len(content) == {_GREY: 2, _RGB: 6}.get(colour)


def read(data: bytes) -> FileStructure:
    """Return the structure of a PNG file, or raise an ImageError."""
    chunks = _chunks(data)
    if len(chunks.header) < 13 or chunks.pixels is None:
        raise CorruptImage("The PNG image is damaged: it has no header or no pixels.")
    width, height, depth, colour = struct.unpack_from(">LLBB", chunks.header)
    if colour == _PALETTE and not chunks.colours:
        raise CorruptImage("The PNG image is damaged: its palette is missing.")
    first, end = chunks.pixels
    transparency = chunks.transparency or b""
    is_grey = colour == _GREY and bool(transparency)
    is_deep = colour == _RGB and depth == 16 and bool(transparency)
    held = _loaded_bytes(colour, depth)
    return FileStructure(
        data=b"".join(
            [data[:8], *chunks.parts, data[first:end], _END if end <= len(data) else b""]
        ),
        size=(width, height),
        loaded_bytes=held,
        peak_bytes=held,
        is_rgb=colour == _RGB,
        transparent=colour in {4, 6} or chunks.transparency is not None,
        orientation=orientation(chunks.exif or chunks.raw_exif or b"", chunks.xmp),
        transparent_grey=_grey(transparency, depth) if is_grey else None,
        transparent_rgb=struct.unpack_from(">HHH", transparency) if is_deep else None,
        grey_bits=depth if is_grey or depth == 16 else 8,
    )


def _chunks(data: bytes) -> _Chunks:
    chunks, at = _Chunks(), 8
    for _ in range(MAX_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind in {b"", b"IEND"}:
            return chunks
        if kind == b"CgBI":
            raise UnsupportedImage("The PNG image is of Apple's variant CgBI, which is not read.")
        end = at + 12 + length
        if kind == b"IDAT":
            first, last = chunks.pixels or (at, at)
            chunks.pixels = first, end if last == at else last
        else:
            chunks.add(kind, data[at + 8 : end - 4], data[at:end])
        at = end
    raise CorruptImage(f"The PNG image has more than {MAX_CHUNKS} chunks.")


def _loaded_bytes(colour: int, depth: int) -> int:
    """Return the bytes per pixel in the mode to which Pillow decodes."""
    if colour == _GREY and depth == 16:
        return 2
    return 1 if colour in {_GREY, _PALETTE} else 4


def _grey(transparency: bytes, depth: int) -> int:
    """Return the transparent value; bits that grey of this depth does not have are ignored."""
    return int.from_bytes(transparency[:2], "big") & ((1 << depth) - 1)


def low_bytes(data: bytes) -> Image.Image:
    """Return the lower halves of the levels of an image of 16 bits per channel in colour.

    Pillow has no colour mode of 16 bits per channel, and keeps the upper halves.
    """
    image = Image.open(io.BytesIO(data), formats=("PNG",))
    # The last field is the order of the bytes: read as little-endian, the lower halves are kept.
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image


def _is_raw_profile(kind: bytes, content: bytes) -> bool:
    return kind in {b"zTXt", b"tEXt"} and content.startswith(_RAW_EXIF)


def _raw_profile(kind: bytes, content: bytes) -> bytes:
    """Return the EXIF block that ImageMagick writes as hexadecimal text."""
    try:
        if kind == b"zTXt":
            content = zlib.decompressobj().decompress(content[1:], MAX_TEXT_BYTES)
        # Three lines come first: nothing, the name of the profile, and its length.
        lines = content[:MAX_TEXT_BYTES].decode("latin-1").split("\n", 3)
        return bytes.fromhex("".join(lines[3:]).replace("\n", ""))
    except (ValueError, zlib.error):
        return b""
