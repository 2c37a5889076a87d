"""Small picture files that take much time or memory to decode."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from functools import partial

from PIL import Image

from flask_server.imaging.formats import FORMATS
from tests.attack.bodies import with_length
from tests.attack.catalogue import Attack, Form, Target, repeated
from tests.attack.usage import MB

_ALLOWED = (200, 413, 415, 422, 503, 504)
_SIDE = 10_000  # of 100 million pixels, the gateway's limit


def picture(name: str, data: Callable[[], bytes], accept: str = "*/*") -> Attack:
    """A picture whose prediction, or drawing, may be refused but must not harm anybody."""

    def request(_: Target, __: Form) -> bytes:
        headers = ("Content-Type: application/octet-stream", f"Accept: {accept}")
        return with_length("/models/toy/predict", data(), *headers)

    return Attack(name, repeated(request, _ALLOWED))


def webp() -> bytes:
    """34 bytes: one colour takes no bits per pixel, so only the size has to be changed."""
    file = io.BytesIO()
    Image.new("RGBA", (16, 16), (1, 2, 3, 4)).save(file, "WEBP", lossless=True, exact=True)
    data = bytearray(file.getvalue())
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little") >> 28 << 28
    data[at : at + 4] = (bits | (_SIDE - 1) << 14 | (_SIDE - 1)).to_bytes(4, "little")
    return bytes(data)


def gif() -> bytes:
    """A transparent point on a large canvas."""
    canvas = struct.pack("<6sHHBBB", b"GIF89a", _SIDE, _SIDE, 0x80, 0, 0) + bytes(6)
    transparent = b"!\xf9\x04\x01\x00\x00\x00\x00"
    return canvas + transparent + b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


def bmp() -> bytes:
    """Run-length coded, with one point in each line."""
    rows = b"\x01\x00\x00\x00" * _SIDE + b"\x00\x01"
    start = 14 + 40 + 1024
    header = struct.pack("<2sIII", b"BM", start + len(rows), 0, start)
    header += struct.pack("<IiiHHIIiiII", 40, _SIDE, _SIDE, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return header + bytes(1024) + rows


def chunk(name: bytes, data: bytes = b"") -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(depth: int, colour: int, bytes_per_pixel: int, extra: bytes = b"") -> bytes:
    """A PNG of zeros, as large as allowed; or a small one with further chunks."""
    side = 16 if extra else _SIDE
    packer, row = zlib.compressobj(1), bytes(1 + side * bytes_per_pixel)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    size = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    return start + extra + chunk(b"IDAT", pixels) + chunk(b"IEND")


def tiff(width: int, height: int, *entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A grey TIFF with further entries: tag, type, count and value; the tail begins at 1,000."""
    usual = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
    ]
    table = sorted([*usual, *entries])
    packed = b"".join(struct.pack("<HHII", *entry) for entry in table)
    directory = struct.pack("<2sHIH", b"II", 42, 8, len(table)) + packed + bytes(4)
    return directory.ljust(1000, b"\0") + tail


def tiff_of_strips() -> bytes:
    """A TIFF with a strip per line, each at the same place."""
    count = 1_900_000
    tail = struct.pack("<I", 8) * count + struct.pack("<I", 1) * count
    offsets, lengths = (273, 4, count, 1000), (279, 4, count, 1000 + 4 * count)
    return tiff(1, count, offsets, lengths, (278, 4, 1, 1), tail=tail)


def tiff_of_resolutions() -> bytes:
    """A TIFF whose resolution is millions of fractions."""
    count = 3_800_000
    strip = ((273, 4, 1, 8), (279, 4, 1, 256), (278, 4, 1, 16))
    return tiff(16, 16, *strip, (282, 5, count, 1000), tail=struct.pack("<II", 1, 1) * count)


def tiff_of_integers() -> bytes:
    """A TIFF with 32 bits a pixel, compressed."""
    packer, row = zlib.compressobj(9), bytes(4 * _SIDE)
    pixels = b"".join(packer.compress(row) for _ in range(_SIDE)) + packer.flush()
    strip = ((273, 4, 1, 1000), (279, 4, 1, len(pixels)), (278, 4, 1, _SIDE), (339, 3, 1, 2))
    data = tiff(_SIDE, _SIDE, *strip, tail=pixels)
    return data.replace(
        struct.pack("<HHII", 258, 3, 1, 8), struct.pack("<HHII", 258, 3, 1, 32)
    ).replace(struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 8))


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    """A small JPEG."""
    file = io.BytesIO()
    Image.new(mode, (64, 64)).save(file, "JPEG", **options)
    return file.getvalue()


def jpeg_of_fill() -> bytes:
    """A JPEG with fill bytes before its second marker."""
    return jpeg()[:2] + b"\xff" * 31 * MB + jpeg()[2:]


def jpeg_of_segments() -> bytes:
    """A JPEG of millions of empty comments."""
    return jpeg()[:2] + b"\xff\xfe\x00\x02" * 7_000_000 + jpeg()[2:]


def jpeg_of_scans() -> bytes:
    """A large progressive JPEG, whose last scan comes again and again."""
    file = io.BytesIO()
    Image.new("RGB", (_SIDE // 2, _SIDE // 2)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 38 + data[-2:]


#: Black pictures of 4096 x 2304 that Pillow has written, as the encoders take half a minute.
_CODED = {
    "AVIF": (
        "eNpjYGBQSCupLEgsy0xjAAIQnZuZZpibmZjm62joBBR6nZtaksgAAYoZKTlFUDZDQWZyCQMa4CvILMkFsxiBWC4z"
        "Jz8ZxHEB8RkhoozCQHwPyNbIzMxLg6uVAnJSmaC8xDIDQ+f8nHywXVmZBUUFQNo7syA5H0iLZBYXpEKsEwBiTjCj"
        "ILMiE8Rg5uDgAFI8iWWGzo0CPCAh4eT8nKK85JwKoMm8DGwNQCHxzIJcmJ+ADmNhZGpmAbKe5aYklggxcHHL6P3/"
        "Z39LQXHBhQajM8yygoYPH850aOJQn+DAwGB6/lzgWs0nUreOJijGG7xZcaZA8+yEhZpe/zXZ+LqmPNfvUTyporDp"
        "0TO5qPDujtgalTjp7XtvfW8wO38uopzp8/O6EPcZ1x0t7l5buFHLunX5xw33F8amzVqr6yk6w+6/3hHuczcNShZ4"
        "imf7HmfsL3/10XhUH3Z9ZGoDAOpbGtA="
    ),
    "HEIF": (
        "eNpjYGCQSSupLMhIzUxmAILczDRDEDs3MzGNgYExIje1JJEBAhQzUnKKoGyGgszkEgY0oJSZkw82xMWBgREIgYCx"
        "BkIzMIj5AwnlzMy8NDAXJCoK5KQyQXkZZcmGICZfQWZJLlzJjcyCogIgvTOzIDkfSFcBlTkzMoOEJoAVbfnA8Ofv"
        "jx8MDPzMCUAdEg6MPIz//4MUMINUMIPQll1MDolASV0nRkY0mQUMDRwME8SiV6os27mDI8NAASjKDCIYFJOAOthd"
        "GA8WbUhyAFoknJyfU5SXnFMBFOZlYGsAColkFhekQnwnAMScYEZBZkUmiMHMwcEBpMQzC3JhAQgME5ZGJmYWYGCE"
        "56YkAsNPzFuDcb0wS5P2ihca6s+Xp6urqz3DAR48O5ER/P//rsfLpyQuKJro89f+5gpDoBHZDAxXGbgLoB4aLMgw"
        "YbHka7EXDAzfGJjOMEgfGGTOA6OsA5MZGAUZuB0Go+NAiOdH+2B1GgRJFQxu961oGNTuM1MYzM5jnjWIXSd9YRA7"
        "LsJhEDtu/yDOE4yVg9dtTO8Gr9tY9gxet3FoDF638VgMXrcJDuISTlJg8LpNMWHwuk1zELvNZBA3RuwXDF63+Q7i"
        "yj76wOB1W9YgDrfSQey21kHcfpsyiN22cBC7bc0gdtvmQey2wdyXOTyI3XZmELvtwqjbyEJXGwAI0Ki0"
    ),
}
#: The formats of Pillow or its extras that not every installation reads.
CODED = tuple(kind for kind in ("AVIF", "HEIF") if kind in FORMATS)


def coded(kind: str) -> bytes:
    """An AVIF or HEIC of one colour, which takes few bits."""
    return zlib.decompress(base64.b64decode(_CODED[kind]))


def avif_of_frames() -> bytes:
    """A film, of which the first picture counts."""
    file, frame = io.BytesIO(), Image.new("RGB", (512, 512))
    frame.save(file, "AVIF", speed=10, save_all=True, append_images=[frame] * 15)
    return file.getvalue()


ATTACKS = (
    *(picture(f"{kind} of one colour", partial(coded, kind)) for kind in CODED),
    *([picture("AVIF of many pictures", avif_of_frames)] if "AVIF" in CODED else []),
    picture("WebP of one colour", webp),
    picture("GIF with a transparent point", gif),
    picture("GIF, drawn", gif, "image/png"),
    picture("PNG of grey and alpha", lambda: png(8, 4, 2)),
    picture("PNG of 16 bits and alpha", lambda: png(16, 6, 8)),
    picture("TIFF of 32 bits", tiff_of_integers),
    picture("JPEG of many scans", jpeg_of_scans),
    picture("BMP of short runs", bmp),
    picture("TIFF of many strips", tiff_of_strips),
    picture("TIFF of many resolutions", tiff_of_resolutions),
    picture("JPEG of fill bytes", jpeg_of_fill),
    picture("JPEG of empty segments", jpeg_of_segments),
    picture("PNG of empty chunks", lambda: png(8, 0, 1, chunk(b"abCd") * 2_500_000)),
)
