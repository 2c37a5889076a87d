"""Writers of image files that no library writes on purpose."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

#: ``scene()`` written by ``cjpeg -quality 90 -sample 1x1 -arithmetic`` of libjpeg-turbo, as no
#: library of these tests can; the second one with ``-progressive``.
_ARITHMETIC_JPEGS = {
    "baseline": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4R"
        "DgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
        "FBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/yQARCAAgADADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIR"
        "AxEAPwD/ANo6DmA34gqXV1x+PHpzGnUNLry36Trk4R2ecMwCR7i40+p+q7uYP9tjFcz+sP8AwXLpR1fFAGc77TAz"
        "NRT/2Q=="
    ),
    "progressive": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4R"
        "DgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU"
        "FBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/ygARCAAgADADAREAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAA"
        "Af8AtHRpxfgH+kq5OzMXY934rrrj8x+0q8XlPNW985EXSz1yrDn1DVQslT1hGpf8wgeBsPERHnBatf/MAAQQBf/a"
        "AAgBAQABBQKw/8wABBEF/9oACAEDAQE/AbD/zAAEEQX/2gAIAQIBAT8BsP/MAAQQBf/aAAgBAQAGPwKw/8wABBAF"
        "/9oACAEBAAE/IbD/2gAMAwEAAgADAAAAELGUBaABaABa/8wABBEF/9oACAEDAQE/ELD/zAAEEQX/2gAIAQIBAT8Q"
        "sP/MAAQQBf/aAAgBAQABPxCw/9k="
    ),
}
PNG_START = b"\x89PNG\r\n\x1a\n"


def scene(size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Left third red, middle third green, right third blue."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    third = size[0] // 3
    for channel in range(3):
        pixels[:, channel * third : (channel + 1) * third, channel] = 234
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **save: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def arithmetic_jpeg(name: str) -> bytes:
    """The scene as a JPEG with arithmetic coding."""
    return base64.b64decode(_ARITHMETIC_JPEGS[name])


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">L", zlib.crc32(kind + content))
    return struct.pack(">L", len(content)) + kind + content + check


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, *before: bytes) -> bytes:
    """A PNG whose rows begin with their filter; ``before`` are chunks ahead of the pixels."""
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", *size, depth, colour, 0, 0, 0))
    parts = (PNG_START, header, *before, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"".join(parts)


def grey_png(depth: int, left: int, right: int, transparent: int | None) -> bytes:
    """Sixteen by four, the left half of one value and the right half of another."""
    bits = f"{left:0{depth}b}" * 8 + f"{right:0{depth}b}" * 8
    row = b"\0" + int(bits, 2).to_bytes(2 * depth, "big")
    chunks = [] if transparent is None else [chunk(b"tRNS", struct.pack(">H", transparent))]
    return png((16, 4), depth, 0, row * 4, *chunks)


def rgb16_png(transparent: tuple[int, int, int], other: tuple[int, int, int]) -> bytes:
    """Sixteen by four, the left half of a transparent colour of 16 bits per channel."""
    row = b"\0" + struct.pack(">24H24H", *transparent * 8, *other * 8)
    content = struct.pack(">HHH", *transparent)
    return png((16, 4), 16, 2, row * 4, chunk(b"tRNS", content))


def bmp(
    size: tuple[int, int],
    bits: int,
    compression: int,
    body: bytes,
    *,
    palette: bytes,
    header: int = 40,
) -> bytes:
    """A BMP; ``palette`` may be the masks of bit fields, of which a header of 56 has four."""
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<LHHL", start + len(body), 0, 0, start)
    fields = (header, *size, 1, bits, compression, len(body), 0, 0, 0, 0)
    return head + struct.pack("<LllHHLLllLL", *fields) + palette + body


def black_and_white_bmp(bits: int) -> bytes:
    """Eight by one, white on the left and black on the right, with two colours in the palette."""
    digits = "".join(f"{level:0{bits}b}" for level in [1] * 4 + [0] * 4)
    body = int(digits, 2).to_bytes(bits, "big")
    data = bmp((8, 1), bits, 0, body.ljust(4, b"\0"), palette=bytes(4) + b"\xff\xff\xff\0")
    return data[:46] + struct.pack("<L", 2) + data[50:]


def tiff(entries: Sequence[tuple[int, int, int, int]], body: bytes = b"") -> bytes:
    """A little-endian TIFF: entries of tag, type, count and value; the body begins at byte 8."""
    table = b"".join(struct.pack("<HHLL", *entry) for entry in sorted(entries))
    directory = struct.pack("<H", len(entries)) + table + bytes(4)
    return b"II*\0" + struct.pack("<L", 8 + len(body)) + body + directory


def grey_tiff(*more: tuple[int, int, int, int], size: tuple[int, int] = (8, 8)) -> bytes:
    """A grey TIFF of 8 bits in one strip, of level 100, with further entries."""
    body = bytes((100,)) * max(64, size[0] * size[1])
    given = {entry[0] for entry in more}
    usual = [
        *((256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, 1, 8), (259, 3, 1, 1)),
        *((262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, size[1])),
        (279, 4, 1, size[0] * size[1]),
    ]
    return tiff([*(entry for entry in usual if entry[0] not in given), *more], body)


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def after_start(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def lossless_jpeg(image: Image.Image) -> bytes:
    """A lossless JPEG (process SOF3) of a grey image, predictor 1."""
    values = np.asarray(image.convert("L")).astype(int)
    left = np.hstack([np.r_[128, values[:-1, 0]][:, None], values[:, :-1]])
    differences = (values - left).ravel().tolist()
    bits = "".join(f"{abs(d).bit_length():04b}{_extra(d)}" for d in differences)
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    height, width = values.shape
    # Nine codes of four bits: the number of bits of a difference is its own code.
    table = b"\0" + bytes([0, 0, 0, 9, *[0] * 12]) + bytes(range(9))
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0"
    parts = (segment(0xC3, frame), segment(0xC4, table), segment(0xDA, b"\1\1\0\1\0\0"), coded)
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


def _extra(difference: int) -> str:
    size = abs(difference).bit_length()
    low = difference if difference > 0 else difference + (1 << size) - 1
    return f"{low:0{size}b}" if size else ""


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan stands in it again and again."""
    data = saved(scene(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * (count - data[:start].count(b"\xff\xda")) + data[-2:]


@cache
def part_gif(transparent: bool, offset: tuple[int, int] = (2, 2)) -> bytes:
    """A black GIF frame of 4 x 4 on a canvas of 8 x 8; its colour 0 is dark grey."""
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 0, 0, 0])
    data = saved(image, "GIF", **({"transparency": 0} if transparent else {}))
    at = data.index(b",")
    canvas = data[:6] + struct.pack("<HH", 8, 8) + data[10:at]
    return canvas + b"," + struct.pack("<HHHH", *offset, 4, 4) + data[at + 9 :]


def coded_webp(alpha: bool) -> bytes:
    """The chunk of a lossless WebP frame of 8 x 8 pixels, half transparent with ``alpha``."""
    frame = scene((8, 8)).convert("RGBA" if alpha else "RGB")
    if alpha:
        frame.putalpha(128)
    still = saved(frame, "WEBP", lossless=True)
    at = still.index(b"VP8L")
    length = int.from_bytes(still[at + 4 : at + 8], "little")
    return still[at : at + 8 + length + length % 2]


def part_webp(size: tuple[int, int], offset: tuple[int, int], *, alpha: bool, flag: bool) -> bytes:
    """An animated WebP whose first frame of 8 x 8 pixels begins at an offset of even numbers.

    ``flag`` is what the file says about transparency, which the frame may not have.
    """
    place = [three_bytes(value) for value in (offset[0] // 2, offset[1] // 2, 7, 7, 100)]
    control = riff_chunk(b"ANIM", b"\x80\x40\x20\xff\0\0")
    frame = riff_chunk(b"ANMF", b"".join(place) + b"\0" + coded_webp(alpha))
    return extended_webp(size, 0x02 | 0x10 * flag, control + frame)


def flagged_webp(*, alpha: bool, flag: bool) -> bytes:
    """A WebP of one image whose flag of transparency may be wrong."""
    return extended_webp((8, 8), 0x10 * flag, coded_webp(alpha))


def extended_webp(size: tuple[int, int], flags: int, chunks: bytes) -> bytes:
    sides = three_bytes(size[0] - 1) + three_bytes(size[1] - 1)
    body = b"WEBP" + riff_chunk(b"VP8X", bytes((flags, 0, 0, 0)) + sides) + chunks
    return b"RIFF" + struct.pack("<L", len(body)) + body


def three_bytes(value: int) -> bytes:
    return struct.pack("<L", value)[:3]


def riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<L", len(content)) + content + bytes(len(content) % 2)
