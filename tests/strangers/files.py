"""Writers of image files that no library writes on purpose."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

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


def bmp(
    size: tuple[int, int], bits: int, compression: int, body: bytes, *, palette: bytes
) -> bytes:
    """A BMP with the header of 40 bytes; ``palette`` may be the masks of bit fields."""
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<LHHL", start + len(body), 0, 0, start)
    fields = (40, *size, 1, bits, compression, len(body), 0, 0, 0, 0)
    return head + struct.pack("<LllHHLLllLL", *fields) + palette + body


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
def part_gif(transparent: bool) -> bytes:
    """A black GIF frame of 4 x 4 in the middle of a canvas of 8 x 8; its colour 0 is black."""
    image = Image.new("P", (4, 4), 1)
    image.putpalette([9, 9, 9, 0, 0, 0])
    data = saved(image, "GIF", **({"transparency": 0} if transparent else {}))
    at = data.index(b",")
    canvas = data[:6] + struct.pack("<HH", 8, 8) + data[10:at]
    return canvas + b"," + struct.pack("<HHHH", 2, 2, 4, 4) + data[at + 9 :]
