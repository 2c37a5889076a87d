"""Structure of BMP files, and decoders of what Pillow decodes slowly or not at all.

Pillow fills the short rows of a run-length-coded image pixel by pixel in Python, which takes 20 s
for a file of 41 kB; here the time is bounded by the length of the file. Of the layouts of bit
fields Pillow reads the usual ones only, and it makes an image transparent whose alpha channel is
not used.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flask_server.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from flask_server.imaging.files.structure import FileStructure
from flask_server.imaging.geometry import Size

#: Maximum bytes of run-length-coded pixels; decoding takes a second per 4 MiB.
MAX_RUN_LENGTH_BYTES: Final = 4 << 20

#: Rows are decoded together up to this number of pixels.
_BAND_PIXELS: Final = 1 << 18

_RAW, _RLE8, _RLE4, _BITFIELDS = 0, 1, 2, 3
_DEPTHS: Final = {_RAW: (1, 4, 8, 16, 24, 32), _RLE8: (8,), _RLE4: (4,), _BITFIELDS: (16, 24, 32)}
_HEADERS: Final = {12, 40, 52, 56, 64, 108, 124}
#: Layouts of bit fields without alpha that Pillow reads: red, green, blue and alpha.
_LAYOUTS: Final = {
    16: {(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)},
    24: {(0xFF0000, 0xFF00, 0xFF, 0)},
    32: {
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0, 0, 0, 0),
    },
}


def read(data: bytes) -> FileStructure:
    """Return the structure of a BMP file, or raise an ImageError."""
    try:
        return _read(data)
    except struct.error as error:
        raise CorruptImage("The BMP image is damaged: its header ends too early.") from error


def _read(data: bytes) -> FileStructure:
    (header,) = struct.unpack_from("<L", data, 14)
    if header not in _HEADERS:
        raise UnsupportedImage(f"The BMP image has a header of {header} bytes, which is not read.")
    if header == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = _RAW
    else:
        width, height, _, depth, compression = struct.unpack_from("<llHHL", data, 18)
    if depth not in _DEPTHS.get(compression, ()):
        raise UnsupportedImage(
            f"The BMP image has {depth} bits per pixel and compression {compression}, which are"
            " not read together."
        )
    if width <= 0 or height == 0:
        raise CorruptImage(f"The BMP image is damaged: its size is {width}x{height}.")
    size, draw = (width, abs(height)), None
    if compression in {_RLE8, _RLE4}:
        draw = partial(_run_lengths, data, size, header, depth)
    elif compression == _BITFIELDS:
        masks = _masks(data, header)
        if masks not in _LAYOUTS[depth]:
            draw = partial(_bit_fields, data, (width, height), header, depth, masks)
    held = 1 if depth <= 8 else 4
    return FileStructure(
        data=_with_third_colour(data, header, depth),
        size=size,
        loaded_bytes=held,
        peak_bytes=2.5 if held == 1 and draw else held,
        is_rgb=depth > 8,
        transparent=compression == _BITFIELDS,
        draw=draw,
    )


def _with_third_colour(data: bytes, header: int, depth: int) -> bytes:
    """Return the file with three colours in place of two.

    Pillow takes the pixels of a palette of black and white for bits, also where each has 4 or 8.
    """
    if depth not in {4, 8} or header == 12 or data[46:50] != b"\2\0\0\0":
        return data
    start = struct.pack("<L", _pixel_start(data, header, 8))  # Pillow would count three colours
    return data[:10] + start + data[14:46] + b"\3" + data[47:]


def _masks(data: bytes, header: int) -> tuple[int, ...]:
    """Return the bits of red, green, blue and alpha; the short header has no alpha."""
    red, green, blue = struct.unpack_from("<LLL", data, 54)
    (alpha,) = struct.unpack_from("<L", data, 66) if header >= 56 else (0,)
    return red, green, blue, alpha


def _pixel_start(data: bytes, header: int, between: int) -> int:
    """Return where the pixels begin: ``between`` bytes behind the header if the file names none."""
    (start,) = struct.unpack_from("<L", data, 10)
    return start if start > 14 + header else 14 + header + between


def _bit_fields(
    data: bytes, size: Size, header: int, depth: int, masks: tuple[int, ...]
) -> Image.Image:
    """Decode pixels of 16 or 32 bits in any layout; the rows go down if the height is negative.

    Some programs write an alpha channel of zeros only, which then says nothing.
    """
    width, height = size[0], abs(size[1])
    if depth == 24:
        raise UnsupportedImage("The BMP image has bit fields of 24 bits, which are not read.")
    start = _pixel_start(data, header, 12 if header == 40 else 0)
    stride = -(-width * depth // 32) * 4
    if len(data) - start < stride * height:
        raise CorruptImage("The BMP image is damaged: its pixels end too early.")
    image = Image.new("RGBA" if masks[3] else "RGB", (width, height))
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        count = min(rows, height - top)
        band = np.frombuffer(data, np.uint8, count * stride, start + top * stride)
        values = band.reshape(count, stride).view(f"<u{depth // 8}")[:, :width]
        channels = [_channel(values, mask) for mask in masks[: len(image.getbands())]]
        part = np.stack(channels, axis=-1)
        if size[1] < 0:
            image.paste(Image.fromarray(part), (0, top))
        else:
            image.paste(Image.fromarray(part[::-1].copy()), (0, height - top - count))
    is_unfilled = masks[3] and image.getchannel("A").getextrema() == (0, 0)
    return image.convert("RGB") if is_unfilled else image


def _channel(values: NDArray[np.unsignedinteger], mask: int) -> NDArray[np.uint8]:
    """Return the levels, 0 to 255, that stand in some bits of each pixel."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    if mask >> shift == 255:
        return (values >> shift).astype(np.uint8)  # the lowest byte
    fields = (values.astype(np.uint32) & mask) >> shift
    levels: NDArray[np.uint8] = np.rint(fields * (255.0 / (mask >> shift))).astype(np.uint8)
    return levels


def _run_lengths(data: bytes, size: Size, header: int, depth: int) -> Image.Image:
    (colours,) = struct.unpack_from("<L", data, 46)
    palette = data[14 + header : 14 + header + 4 * min(colours or 1 << depth, 256)]
    start = _pixel_start(data, header, len(palette))
    if len(data) - start > MAX_RUN_LENGTH_BYTES:
        raise ImageTooLarge(
            f"The BMP image has {len(data) - start} bytes of run-length-coded pixels; at most"
            f" {MAX_RUN_LENGTH_BYTES} are allowed."
        )
    levels = _RunLengths(data, start, size, depth).levels()
    image = Image.frombytes("P", size, levels, "raw", "P", 0, -1)  # the bottom row comes first
    image.putpalette(palette, "BGRX")
    return image


class _RunLengths:
    """Decoder of one run-length-coded image."""

    def __init__(self, data: bytes, start: int, size: Size, depth: int) -> None:
        self._data, self._at = data, start
        self._size, self._nibbles = size, depth == 4
        self._levels = bytearray(size[0] * size[1])
        self._x = self._y = 0

    def levels(self) -> bytes:
        """Return the palette index of each pixel, the bottom row first; skipped ones are 0."""
        width, height = self._size
        while self._y < height:
            pair = self._data[self._at : self._at + 2]
            if len(pair) < 2:
                if self._y == height - 1 and self._x >= width:
                    break
                raise CorruptImage("The BMP image is damaged: its pixels end too early.")
            self._at += 2
            if pair[0]:
                self._put(self._run(pair[0], pair[1]))
            elif pair[1] == 1:  # end of the image
                break
            else:
                self._escape(pair[1])
        return bytes(self._levels)

    def _run(self, count: int, value: int) -> bytes:
        if not self._nibbles:
            return bytes((value,)) * count
        return (bytes((value >> 4, value & 15)) * (count // 2 + 1))[:count]

    def _escape(self, code: int) -> None:
        if code == 0:  # end of the row
            self._x, self._y = 0, self._y + 1
        elif code == 2:  # skip to the right and up
            right, up = self._take(2)
            self._x, self._y = self._x + right, self._y + up
        else:
            self._put(self._literal(code))

    def _literal(self, count: int) -> bytes:
        """Return the pixels that stand in the file as they are, padded to 16 bits."""
        used = -(-count // 2) if self._nibbles else count
        content = self._take(used + used % 2)[:used]
        if self._nibbles:
            content = bytes(half for byte in content for half in (byte >> 4, byte & 15))
        return content[:count]

    def _take(self, count: int) -> bytes:
        content = self._data[self._at : self._at + count]
        if len(content) < count:
            raise CorruptImage("The BMP image is damaged: its pixels end too early.")
        self._at += count
        return content

    def _put(self, run: bytes) -> None:
        """Write a run into its row; what does not fit is left out."""
        width = self._size[0]
        fitting = run[: max(0, width - self._x)]
        place = self._y * width + self._x
        self._levels[place : place + len(fitting)] = fitting
        self._x += len(fitting)
