"""The table of strangers' pictures: one row per kind.

A row has a name, a maker of the file, and either the colours of some pixels or the refusal. The
next case is one more row.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from flask_server.errors import CorruptImage, ImageError, ImageTooLarge, UnsupportedImage
from tests.strangers import files
from tests.strangers.files import after_start, chunk, grey_png, grey_tiff, saved, scene, segment

Colour = tuple[int, int, int]

RED, GREEN, BLUE = (234, 0, 0), (0, 234, 0), (0, 0, 234)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Kind:
    """A kind of picture, and what is right for it."""

    name: str
    make: Callable[[], bytes]

    pixels: dict[tuple[int, int], Colour] = field(default_factory=dict)
    """The colours at some places (x, y) of the decoded picture."""

    tolerance: int = 1

    refusal: type[ImageError] | None = None
    words: str = ""
    """Words of the refusal."""


def grey(level: int) -> Colour:
    return level, level, level


THIRDS = {(4, 8): RED, (24, 8): GREEN, (44, 8): BLUE}


def jpeg() -> bytes:
    return saved(scene(), "JPEG", quality=95, subsampling=0)


def turned_jpeg_with_huge_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(scene(), "JPEG", quality=95, subsampling=0, exif=exif)


def png_with(kind: bytes, content: bytes, times: int = 1) -> bytes:
    data = saved(scene(), "PNG")
    return data[:33] + chunk(kind, content) * times + data[33:]


def half_png(colour: int, transparency: bytes) -> bytes:
    """Sixteen by four of 8 bits, the left half of value 1 and the right of 9, or of its colour."""
    row = b"\0" + (b"\1" * 8 + b"\x09" * 8 if colour != 2 else b"\1\1\1" * 8 + b"\x09\x09\x09" * 8)
    palette = [chunk(b"PLTE", bytes(27) + bytes(RED))] if colour == 3 else []
    return files.png((16, 4), 8, colour, row * 4, *palette, chunk(b"tRNS", transparency))


def broken_text_png() -> bytes:
    data = bytearray(png_with(b"tEXt", b"Comment\0hello"))
    data[33 + 8] ^= 1  # the check sum no longer fits
    return bytes(data)


def gif_with(extension: bytes) -> bytes:
    data = saved(scene(), "GIF")
    at = 13 + (3 << ((data[10] & 7) + 1))
    return data[:at] + extension + data[at:]


def bitmap(bits: int, values: np.ndarray, masks: tuple[int, ...], compression: int = 3) -> bytes:
    palette = b"".join(mask.to_bytes(4, "little") for mask in masks)
    body = values.astype(f"<u{bits // 8}").tobytes()
    size = values.shape[1], values.shape[0]
    return files.bmp(size, bits, compression, body, palette=palette)


def alpha_bitmap(bits: int, masks: tuple[int, ...], used: bool) -> bytes:
    """Eight by eight, all red; if alpha is used, the left half is opaque and the right is not."""
    values = np.full((8, 8), masks[0], np.uint32)
    if used:
        values[:, :4] |= masks[3]
    palette = b"".join(mask.to_bytes(4, "little") for mask in masks)
    body = values.astype(f"<u{bits // 8}").tobytes()
    return files.bmp((8, 8), bits, 3, body, palette=palette, header=56)


def starting_at(offset: int, bmp: bytes) -> bytes:
    return bmp[:10] + struct.pack("<L", offset) + bmp[14:]


def runs(size: tuple[int, int], body: bytes) -> bytes:
    palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
    return files.bmp(size, 8, 1, body, palette=palette)


def tifffile_of(values: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def planar_tiff(bits: int, **options: object) -> bytes:
    pixels = np.moveaxis(np.asarray(scene()), -1, 0)
    wide = pixels if bits == 8 else pixels.astype(np.uint16) * 257
    return tifffile_of(wide, photometric="rgb", planarconfig="separate", **options)


def planes_tiff(photometric: str, extra: list[int], **options: Any) -> bytes:
    planes = np.full((3 + len(extra), 8, 8), 100, np.uint8)
    options |= {"planarconfig": "separate", "extrasamples": extra or None}
    return tifffile_of(planes, photometric=photometric, **options)


def palette_tiff(scale: int) -> bytes:
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1] = (234, 0, 0)
    file = colours * scale
    body = bytes((1,)) * 64 + file.astype("<u2").tobytes()
    return files.tiff(
        [
            *((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 3)),
            *((273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 64), (320, 3, 768, 72)),
        ],
        body,
    )


def tiff_of(values: np.ndarray, bits: int, photometric: int, sample_format: int = 1) -> bytes:
    width = 8 * values.nbytes // (bits * len(values))
    return files.tiff(
        [
            *((256, 4, 1, width), (257, 4, 1, values.shape[0]), (258, 3, 1, bits)),
            *((259, 3, 1, 1), (262, 3, 1, photometric), (273, 4, 1, 8), (277, 3, 1, 1)),
            *((278, 4, 1, values.shape[0]), (279, 4, 1, values.nbytes), (339, 3, 1, sample_format)),
        ],
        values.tobytes(),
    )


def transparent_tiff(kind: int) -> bytes:
    """Sixteen by four: the left half of level 100 and half transparent, the right one all."""
    values = np.zeros((4, 16, 2), np.uint8)
    values[:, :8] = (100, 128)
    return tifffile_of(values, photometric="minisblack", planarconfig="contig", extrasamples=[kind])


def deep_transparent_tiff(extra: int, photometric: int = 1, **options: object) -> bytes:
    """Sixteen by four of 16 bits: the left half of level 100 and half transparent, the right all.

    With ``extra`` 0 the second channel says nothing about transparency.
    """
    values = np.zeros((4, 16, 2), np.uint16)
    values[:, :8] = (100 * 257, 128 * 257)
    options = {"planarconfig": "contig", "extrasamples": [extra]} | options
    return tifffile_of(values, photometric=("miniswhite", "minisblack")[photometric], **options)


def fractions_tiff(most: float, kind: str = "f4", **options: object) -> bytes:
    """Eight by eight: the left half 0, the right half of the largest fraction."""
    values = np.zeros((8, 8), kind)
    values[:, 4:] = most
    return tifffile_of(values, photometric="minisblack", **options)


def filled(level: int, kind: str) -> np.ndarray:
    return np.full((8, 8), level, kind)


BIGTIFFS: list[tuple[int, dict[str, Any]]] = [
    (8, {}),
    (8, {"rowsperstrip": 1}),
    (16, {"compression": "zlib"}),
]
INFLATING = zlib.compress(bytes(1_200_000))
ALPHA_MASKS = [
    (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
]
SQUARE = np.array([[0xF00F] * 4 + [0x0F0F] * 4] * 8)

KINDS = [
    # JPEG
    Kind("a film of 60 scans behind the picture", lambda: jpeg() + b"\xff\xda\0\1" * 60, THIRDS, 4),
    Kind(
        "60 scans in metadata",
        lambda: after_start(jpeg(), segment(0xE5, b"\xff\xda" * 60)),
        THIRDS,
        4,
    ),
    Kind(
        "60 scans in a comment between the scans",
        lambda: jpeg()[:-2] + segment(0xFE, b"\xff\xda" * 60) + b"\xff\xd9",
        THIRDS,
        4,
    ),
    Kind("50 scans", lambda: files.many_scans(50), THIRDS, 60),
    Kind(
        "51 scans",
        lambda: files.many_scans(51),
        refusal=ImageTooLarge,
        words="has 51 scans; at most 50",
    ),
    Kind(
        "a megabyte of fill bytes before and in the scan",
        lambda: jpeg()[:2] + b"\xff" * 1_000_000 + jpeg()[2:-2] + b"\xff" * 1_000_000 + b"\xff\xd9",
        THIRDS,
        4,
    ),
    Kind(
        "a hundred thousand comments",
        lambda: after_start(jpeg(), b"\xff\xfe\0\2" * 100_000),
        refusal=CorruptImage,
        words="more than 5000 segments",
    ),
    Kind("lossless JPEG", lambda: files.lossless_jpeg(scene()), {(4, 8): grey(70)}),
    Kind(
        "JPEG of 12 bits",
        lambda: jpeg().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
        refusal=UnsupportedImage,
        words="12 bits per channel",
    ),
    Kind(
        "hierarchical JPEG",
        lambda: jpeg().replace(b"\xff\xc0\0\x11", b"\xff\xc5\0\x11"),
        refusal=UnsupportedImage,
        words="process SOF5",
    ),
    Kind(
        "JPEG-LS",
        lambda: jpeg().replace(b"\xff\xc0\0\x11", b"\xff\xf7\0\x11"),
        refusal=UnsupportedImage,
        words="process SOF55",
    ),
    Kind("turned JPEG", turned_jpeg_with_huge_exif, {(8, 4): RED, (8, 44): BLUE}, 4),
    *(
        Kind(f"{name} JPEG with arithmetic coding", partial(files.arithmetic_jpeg, name), THIRDS, 4)
        for name in ("baseline", "progressive")
    ),
    # PNG
    Kind(
        "a colour profile that inflates to 1.2 MB",
        lambda: png_with(b"iCCP", b"icc\0\0" + INFLATING),
        THIRDS,
    ),
    Kind(
        "a text that inflates to 1.2 MB", lambda: png_with(b"zTXt", b"text\0\0" + INFLATING), THIRDS
    ),
    Kind("a damaged text", broken_text_png, THIRDS),
    Kind("60,000 chunks", lambda: png_with(b"tEXt", b"", times=60_000), THIRDS),
    Kind(
        "150,000 chunks",
        lambda: saved(scene(), "PNG")[:33] + chunk(b"tEXt", b"") * 150_000,
        refusal=CorruptImage,
        words="more than 100000 chunks",
    ),
    Kind(
        "Apple's PNG",
        lambda: files.PNG_START + chunk(b"CgBI", bytes(4)) + saved(scene(), "PNG")[8:],
        refusal=UnsupportedImage,
        words="CgBI",
    ),
    Kind(
        "a palette that is missing",
        lambda: files.png((16, 4), 1, 3, b"\0\xff\0" * 4),
        refusal=CorruptImage,
        words="palette is missing",
    ),
    *(
        Kind(
            f"grey of {depth} bits with a transparent value",
            partial(grey_png, depth, 0, right, 0),
            {(2, 2): WHITE, (12, 2): grey(level)},
        )
        for depth, right, level in [(1, 1, 255), (2, 1, 85), (4, 7, 119), (8, 117, 117)]
    ),
    Kind(
        "grey of 16 bits with a transparent value",
        partial(grey_png, 16, 0, 117 * 257, 0),
        {(2, 2): WHITE, (12, 2): grey(117)},
    ),
    Kind(
        "grey of 16 bits, transparent to the last bit only",
        partial(grey_png, 16, 0x7500, 0x7501, 0x7500),
        {(2, 2): WHITE, (12, 2): grey(117)},
    ),
    *(
        Kind(
            f"grey of {depth} bits, another value than 0 transparent",
            partial(grey_png, depth, 0, 1, 1),
            {(2, 2): BLACK, (12, 2): WHITE},
        )
        for depth in (1, 2, 4, 8, 16)
    ),
    *(
        Kind(
            f"grey of {depth} bits, transparent value with higher bits",
            partial(grey_png, depth, 0, 1, 0x10000 - (1 << depth)),
            {(2, 2): WHITE, (12, 2): grey(255 // ((1 << depth) - 1))},
        )
        for depth in (1, 2, 4, 8)
    ),
    *(
        Kind(
            f"transparency of {len(content)} bytes for colour type {colour}, which is invalid",
            partial(half_png, colour, content),
            {(2, 2): left, (12, 2): right},
        )
        for colour, content, left, right in [
            (0, b"\1", grey(1), grey(9)),
            (0, b"\0\1\0", grey(1), grey(9)),
            (2, b"\0\1\0\1", grey(1), grey(9)),
            (3, bytes(256), BLACK, RED),
            (3, b"", BLACK, RED),
        ]
    ),
    Kind(
        "transparency of the palette's length",
        partial(half_png, 3, bytes(10)),
        {(2, 2): WHITE, (12, 2): WHITE},
    ),
    Kind(
        "colours of 16 bits, transparent to the last bit only",
        partial(files.rgb16_png, (0x7500, 0x10, 0x7500), (0x7501, 0x10, 0x7500)),
        {(2, 2): WHITE, (12, 2): (117, 0, 117)},
    ),
    Kind(
        "colours of 16 bits, the transparent one is below 256",
        partial(files.rgb16_png, (117, 0, 0), (117 << 8, 0, 0)),
        {(2, 2): WHITE, (12, 2): (117, 0, 0)},
    ),
    # WebP
    Kind(
        "animation of which the first frame does not cover the canvas",
        partial(files.part_webp, (16, 12), (4, 2), alpha=False, flag=False),
        {(0, 0): WHITE, (4, 2): RED, (12, 2): WHITE, (4, 11): WHITE},
    ),
    Kind(
        "the same, half transparent",
        partial(files.part_webp, (16, 12), (4, 2), alpha=True, flag=True),
        {(0, 0): WHITE, (4, 2): (244, 127, 127), (12, 2): WHITE},
    ),
    # GIF
    Kind(
        "GIF frame that does not cover the canvas",
        partial(files.part_gif, transparent=False),
        {(0, 0): WHITE, (4, 4): BLACK, (7, 7): WHITE},
    ),
    Kind(
        "the same with a transparent colour",
        partial(files.part_gif, transparent=True),
        {(0, 0): WHITE, (4, 4): BLACK, (7, 7): WHITE},
    ),
    Kind(
        "a comment of two million blocks",
        lambda: gif_with(b"!\xfe" + b"\1a" * 2_000_000 + b"\0"),
        refusal=CorruptImage,
        words="more than 100000 blocks",
    ),
    Kind("a comment of 2 MB", lambda: gif_with(b"!\xfe" + b"\xff" * 2_560_000 + b"\0"), THIRDS, 30),
    # BMP
    Kind(
        "bit fields of 4 bits each",
        lambda: bitmap(16, SQUARE & 0xFFF, (0xF00, 0xF0, 0xF)),
        {(1, 1): (0, 0, 255), (6, 1): (255, 0, 255)},
    ),
    Kind(
        "bit fields of ten bits each",
        lambda: bitmap(32, filled(1023 << 20, "u4"), (1023 << 20, 1023 << 10, 1023)),
        {(1, 1): (255, 0, 0)},
    ),
    *(
        Kind(
            f"{bits} bits with an alpha channel {words}",
            partial(alpha_bitmap, bits, masks, used),
            {(1, 1): (255, 0, 0), (6, 1): right},
        )
        for bits, masks in ALPHA_MASKS
        for used, words, right in [
            (False, "of zeros only", (255, 0, 0)),
            (True, "that is zero in the right half", WHITE),
        ]
    ),
    *(
        Kind(
            f"palette of black and white for {bits} bits",
            partial(files.black_and_white_bmp, bits),
            {(0, 0): WHITE, (3, 0): WHITE, (4, 0): BLACK, (7, 0): BLACK},
        )
        for bits in (1, 4, 8)
    ),
    *(
        Kind(
            f"palette of black and white of which the file says that it ends at {start}",
            partial(lambda at: starting_at(at, files.black_and_white_bmp(8)), start),
            {(0, 0): WHITE, (3, 0): WHITE, (4, 0): BLACK, (7, 0): BLACK},
        )
        for start in (0, 54)
    ),
    *(
        Kind(
            f"run lengths of which the file says that they begin at {start}",
            partial(starting_at, start, runs((8, 4), b"\4\x64\0\0" * 4 + b"\0\1")),
            {(1, 1): grey(100), (6, 1): BLACK},
        )
        for start in (0, 54)
    ),
    Kind(
        "bit fields of which the file says that they begin at 0",
        lambda: starting_at(0, bitmap(16, SQUARE & 0xFFF, (0xF00, 0xF0, 0xF))),
        {(1, 7): (0, 0, 255), (6, 7): (255, 0, 255)},
    ),
    Kind(
        "compressed as JPEG",
        lambda: files.bmp((8, 8), 24, 4, jpeg(), palette=b""),
        refusal=UnsupportedImage,
        words="compression 4",
    ),
    Kind(
        "run lengths with short rows",
        lambda: runs((8, 4), b"\4\x64\0\0" * 4 + b"\0\1"),
        {(1, 1): grey(100), (6, 1): BLACK},
    ),
    Kind(
        "run lengths with literals and skips",
        lambda: runs((8, 2), b"\0\3\x0a\x14\x1e\0\0\2\2\1\3\x64\0\1"),
        {(0, 1): grey(10), (2, 1): grey(30), (5, 0): grey(100), (4, 1): BLACK},
    ),
    Kind(
        "run lengths of 41 kB for 10,000 x 10,000 pixels",
        lambda: runs((10_000, 10_000), b"\1\5\0\0" * 10_000 + b"\0\1"),
        {(0, 5): grey(5), (5, 5): BLACK},
    ),
    Kind(
        "run lengths of 8 MB",
        lambda: runs((10_000, 10_000), b"\0\2\0\0" * 2_000_000),
        refusal=ImageTooLarge,
        words="8000000 bytes of run-length-coded pixels; at most 4194304",
    ),
    Kind(
        "run lengths that end too early",
        lambda: runs((8, 8), b"\4\x64"),
        refusal=CorruptImage,
        words="end too early",
    ),
    # TIFF
    Kind("planes of 8 bits", partial(planar_tiff, 8), THIRDS),
    Kind("compressed planes of 16 bits", partial(planar_tiff, 16, compression="zlib"), THIRDS),
    Kind("planes of 16 bits", partial(planar_tiff, 16), refusal=UnsupportedImage, words="16 bits"),
    *(
        Kind(
            f"{words}, {options}",
            partial(planes_tiff, photometric, extra, **options),
            refusal=UnsupportedImage,
            words=said,
        )
        for words, photometric, extra, options, said in [
            ("premultiplied planes", "rgb", [1], {}, "premultiplied transparency in separate"),
            ("five planes", "rgb", [2, 0], {}, "5 channels in separate planes"),
            ("five planes", "rgb", [2, 0], {"compression": "zlib"}, "5 channels in separate"),
            ("planes of L*a*b*", "cielab", [], {}, "planes of photometric interpretation 8"),
            ("planes of L*a*b*", "cielab", [], {"compression": "zlib"}, "interpretation 8"),
            ("planes of YCbCr", "ycbcr", [], {}, "photometric interpretation 6"),
        ]
    ),
    Kind("colour map of 16 bits", partial(palette_tiff, 257), {(4, 4): RED}),
    Kind("colour map of 8 bits", partial(palette_tiff, 1), {(4, 4): RED}),
    Kind("16 bits, 0 is black", lambda: tiff_of(filled(0xC000, "<u2"), 16, 1), {(1, 1): grey(192)}),
    Kind("16 bits, 0 is white", lambda: tiff_of(filled(0xC000, "<u2"), 16, 0), {(1, 1): grey(63)}),
    Kind(
        "12 bits",
        lambda: tiff_of(np.full((8, 12), 0xCC, np.uint8), 12, 1),
        {(1, 1): grey(0xCC)},
    ),
    *(
        Kind(
            f"{words} of {bits} bits",
            partial(tiff_of, filled(1, kind), bits, 1, form),
            refusal=UnsupportedImage,
            words=said,
        )
        for words, bits, kind, form, said in [
            ("signed values", 8, "i1", 2, "signed"),
            ("signed values", 16, "<i2", 2, "signed"),
            ("signed values", 32, "<i4", 2, "signed"),
            ("whole numbers", 32, "<u4", 1, "32 bits"),
        ]
    ),
    *(
        Kind(
            f"grey with {words} transparency",
            partial(transparent_tiff, sample),
            {(2, 2): grey(level), (12, 2): WHITE},
        )
        for words, sample, level in [("premultiplied", 1, 227), ("separate", 2, 177)]
    ),
    *(
        Kind(
            f"grey of 16 bits with {words} transparency, {options}",
            partial(deep_transparent_tiff, extra, photometric, **options),
            {(2, 2): grey(level), (12, 2): right},
        )
        for words, extra, photometric, level, right in [
            ("no", 0, 1, 100, BLACK),
            ("premultiplied", 1, 1, 227, WHITE),
            ("separate", 2, 1, 177, WHITE),
            ("separate and inverted", 2, 0, 205, WHITE),
        ]
        for options in (
            {"byteorder": "<"},
            {"byteorder": ">", "compression": "zlib"},
            {"byteorder": ">", "compression": "zlib", "predictor": 2},
            {"byteorder": "<", "compression": "zlib", "predictor": 2, "tile": (16, 16)},
            {"byteorder": ">", "bigtiff": True, "tile": (16, 16)},
        )
    ),
    *(
        Kind(
            f"BigTIFF of {bits} bits, byte order {order}",
            partial(planar_tiff, bits, bigtiff=True, byteorder=order, **options),
            THIRDS,
        )
        for bits, options in BIGTIFFS
        for order in "<>"
    ),
    Kind(
        "BigTIFF with a directory beyond its end",
        lambda: b"MM\0+\0\x08\0\0" + struct.pack(">QQ", 16, 60_000),
        refusal=CorruptImage,
        words="directory ends too early",
    ),
    *(
        Kind(
            f"fractions of {kind} up to {most}, {options}",
            partial(fractions_tiff, most, kind, **options),
            {(1, 1): BLACK, (6, 1): grey(level)},
        )
        for kind in ("f4", "f8")
        for most, level in [(0, 0), (1.5, 1), (200, 200), (270, 255)]
        for options in ({"byteorder": "<"}, {"byteorder": ">", "compression": "zlib"})
    ),
    *(
        Kind(
            f"fractions of {kind} up to {most}",
            partial(fractions_tiff, most, kind),
            refusal=UnsupportedImage,
            words="does not say which is white",
        )
        for kind in ("f4", "f8")
        for most in (0.5, 1, 65535, np.inf)
    ),
    Kind(
        "fractions of 16 bits",
        partial(fractions_tiff, 200, "f2"),
        refusal=UnsupportedImage,
        words="fractions of 16 bits in 1 channel,",
    ),
    Kind(
        "fractions of 32 bits in colour",
        lambda: tifffile_of(np.asarray(scene()).astype("f4"), photometric="rgb"),
        refusal=UnsupportedImage,
        words="fractions of 32 bits in 3 channels",
    ),
    Kind(
        "an unknown compression",
        lambda: grey_tiff((259, 3, 1, 34712)),
        refusal=UnsupportedImage,
        words="compressed by method 34712",
    ),
    Kind(
        "an unknown photometric interpretation",
        lambda: grey_tiff((262, 3, 1, 32803)),
        refusal=UnsupportedImage,
        words="photometric interpretation 32803",
    ),
    Kind(
        "a thousand channels",
        lambda: grey_tiff((277, 3, 1, 1000)),
        refusal=UnsupportedImage,
        words="1000 channels",
    ),
    Kind(
        "a resolution of 3.8 million values",
        lambda: grey_tiff((282, 5, 3_800_000, 8)),
        {(1, 1): grey(100)},
    ),
    Kind(
        "millions of strips",
        lambda: grey_tiff((273, 4, 3_900_000, 8)),
        refusal=ImageTooLarge,
        words="3900000 values; at most 100000",
    ),
    Kind(
        "more strips than rows",
        lambda: grey_tiff((273, 4, 16, 8)),
        refusal=CorruptImage,
        words="16 strips and 8 rows",
    ),
]
