"""Variants of every format that browsers show, made by the tests; none has a colour profile."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from tests.strangers import files
from tests.strangers.files import chunk, saved

try:
    import pyvips
except (ImportError, OSError):
    pyvips = None

Levels = NDArray[np.uint8]
Size = tuple[int, int]

SIZES = [(1, 1), (7, 5), (33, 18)]
#: Red, green, blue and alpha of 4 bits each, and other layouts of 32 bits with and without alpha.
MASKS = {
    16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0), (0xF00, 0xF0, 0xF, 0xF000)],
    32: [
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0x3FF00000, 0xFFC00, 0x3FF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
    ],
}
#: Passes of Adam7: first column and row, and the steps.
ADAM7 = [
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
]


@dataclass(frozen=True)
class Variant:
    """A file, and how far its levels may be from those of another decoder."""

    name: str
    data: bytes
    most: int = 0
    """The largest difference of a level."""

    mean: float = 1.0
    """The largest mean difference."""

    def is_like(self, pixels: Levels, expected: Levels) -> bool:
        """Whether the levels of two decoders are as near as they should be."""
        if pixels.shape != expected.shape:
            return False
        difference = np.abs(pixels.astype(int) - expected)
        return bool(difference.max() <= self.most and difference.mean() <= self.mean)


def ramp(size: Size, channels: int) -> Levels:
    """Smooth channels, so that lossy codecs change them little; the fourth suits as alpha."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
    across, down = x / max(1, size[0] - 1), y / max(1, size[1] - 1)
    planes = [across, down, (across + down) / 2, 1 - down / 2][:channels]
    return np.asarray(np.rint(255 * np.dstack(planes)), np.uint8)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def jpegs() -> Iterator[Variant]:
    for mode, size, sampling, progressive in product(("L", "RGB"), SIZES, (0, 1, 2), (False, True)):
        image = Image.fromarray(ramp(size, 3)).convert(mode)
        options: dict[str, Any] = {"subsampling": sampling, "progressive": progressive}
        name = f"JPEG-{mode}-{size}-{sampling}-{progressive}"
        yield Variant(name, saved(image, "JPEG", quality=90, **options), 3, 0.5)
    for orientation in range(1, 9):
        data = saved(files.scene(), "JPEG", quality=95, exif=exif(orientation))
        yield Variant(f"JPEG-turned-{orientation}", data, 3, 0.5)
    image = Image.fromarray(ramp((33, 18), 3))
    yield Variant("JPEG-restarts", saved(image, "JPEG", restart_marker_blocks=1), 3, 0.5)
    yield Variant("JPEG-film", saved(image, "JPEG") + b"\xff\xda" * 60, 3, 0.5)
    yield Variant("JPEG-RGB", saved(image, "JPEG", quality=95, keep_rgb=True), 3, 0.5)
    yield from _adobe_jpegs()


def _adobe_jpegs() -> Iterator[Variant]:
    """Three and four channels with each transformation that the marker can name, and without it."""
    for channels in (3, 4):
        image = Image.fromarray(ramp((33, 18), channels), None if channels == 3 else "CMYK")
        options = {"keep_rgb": True} if channels == 3 else {}
        data = saved(image, "JPEG", quality=95, **options)
        at = data.index(b"\xff\xee")
        for transform in (0, 1 if channels == 3 else 2):
            patched = data[: at + 15] + bytes((transform,)) + data[at + 16 :]
            yield Variant(f"JPEG-Adobe-{channels}-{transform}", patched, 3, 0.5)
        yield Variant(f"JPEG-no-Adobe-{channels}", data[:at] + data[at + 16 :], 3, 0.5)


def packed(values: NDArray[Any], depth: int) -> bytes:
    """Rows of PNG: a filter byte, then the samples with their highest bit first."""
    rows = values.reshape(values.shape[0], -1).astype(">u2")
    bits = np.unpackbits(rows.view(np.uint8).reshape(*rows.shape, 2), axis=-1)[..., -depth:]
    content = np.packbits(bits.reshape(len(rows), -1), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in content)


def pngs() -> Iterator[Variant]:
    kinds = [(0, 1, d) for d in (1, 2, 4, 8, 16)] + [(3, 1, d) for d in (1, 2, 4, 8)]
    kinds += [(colour, bands, d) for colour, bands in ((2, 3), (4, 2), (6, 4)) for d in (8, 16)]
    for (colour, bands, depth), size, interlaced in product(kinds, SIZES, (False, True)):
        wide = ramp(size, 4)[..., [0, 3] if bands == 2 else list(range(bands))].astype(np.uint32)
        values = (wide * 257 >> (16 - depth)).astype(np.uint16)
        for transparent in (False, True) if bands in {1, 3} else (False,):
            name = f"PNG-{colour}-{depth}-{size}-{interlaced}-{transparent}"
            chunks = list(_png_chunks(colour, depth, values, transparent=transparent))
            data = _png(size, (depth, colour), values, chunks, interlaced=interlaced)
            yield Variant(name, data, 1)
    yield from _close_colours()
    for orientation in range(1, 9):
        data = saved(files.scene(), "PNG", exif=exif(orientation))
        yield Variant(f"PNG-turned-{orientation}", data)


def _png_chunks(
    colour: int, depth: int, values: NDArray[np.uint16], *, transparent: bool
) -> Iterator[bytes]:
    if colour == 3:
        yield chunk(b"PLTE", ramp((1 << depth, 1), 3).tobytes())
    if transparent and colour == 3:
        yield chunk(b"tRNS", bytes((0, 128)))
    elif transparent:
        yield chunk(b"tRNS", values[0, 0].astype(">u2").tobytes())


def _png(
    size: Size,
    coding: tuple[int, int],
    values: NDArray[np.uint16],
    chunks: list[bytes],
    *,
    interlaced: bool,
) -> bytes:
    depth, colour = coding
    if not interlaced:
        return files.png(size, depth, colour, packed(values, depth), *chunks)
    parts = [values[y::down, x::across] for x, y, across, down in ADAM7]
    rows = b"".join(packed(part, depth) for part in parts if part.size)
    data = files.png(size, depth, colour, rows, *chunks)
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", *size, depth, colour, 0, 0, 1))
    return data[:8] + header + data[33:]


def _close_colours() -> Iterator[Variant]:
    """Sixteen bits of which only the last one tells the transparent colour from the others."""
    for colour, bands in ((0, 1), (2, 3)):
        values = np.full((4, 8, bands), 0x7500, np.uint16)
        values[:, 4:, -1] += 1
        content = chunk(b"tRNS", values[0, 0].astype(">u2").tobytes())
        data = _png((8, 4), (16, colour), values, [content], interlaced=False)
        yield Variant(f"PNG-{colour}-16-close", data, 1)


def gifs() -> Iterator[Variant]:
    for size, colours, interlaced in product(SIZES, (2, 16, 256), (False, True)):
        image = Image.fromarray(ramp(size, 3)).quantize(colours)
        for options in ({}, {"transparency": 0}):
            name = f"GIF-{size}-{colours}-{interlaced}-{options}"
            yield Variant(name, saved(image, "GIF", interlace=interlaced, **options))
    for transparent, offset in product((False, True), ((0, 0), (2, 2), (4, 4), (6, 6))):
        name = f"GIF-part-{transparent}-{offset}"
        yield Variant(name, files.part_gif(transparent, offset))
    frames = [Image.new("P", (8, 8), colour) for colour in (1, 2)]
    for frame in frames:
        frame.putpalette(ramp((4, 1), 3).tobytes())
    yield Variant("GIF-animated", saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def webps() -> Iterator[Variant]:
    for size, mode in product(SIZES, ("RGB", "RGBA")):
        image = Image.fromarray(ramp(size, len(mode)))
        yield Variant(f"WEBP-{mode}-{size}-lossless", saved(image, "WEBP", lossless=True), 1)
        yield Variant(f"WEBP-{mode}-{size}-lossy", saved(image, "WEBP", quality=90), 3, 0.5)
    for orientation in range(1, 9):
        data = saved(files.scene(), "WEBP", lossless=True, exif=exif(orientation))
        yield Variant(f"WEBP-turned-{orientation}", data)
    # A file with transparent pixels that says it has none is not valid.
    for alpha, flag in ((False, False), (False, True), (True, True)):
        for offset, size in (
            ((0, 0), (8, 8)),
            ((0, 0), (16, 12)),
            ((2, 2), (16, 12)),
            ((8, 4), (16, 12)),
        ):
            data = files.part_webp(size, offset, alpha=alpha, flag=flag)
            yield Variant(f"WEBP-part-{alpha}-{flag}-{offset}-{size}", data, 1)
        data = files.flagged_webp(alpha=alpha, flag=flag)
        yield Variant(f"WEBP-flagged-{alpha}-{flag}", data, 1)


def bmps() -> Iterator[Variant]:
    for depth, size, down in product((1, 4, 8, 16, 24, 32), SIZES, (False, True)):
        # Five bits become eight by one of two roundings.
        name, most = f"BMP-{depth}-{size}-{down}", int(depth == 16)
        yield Variant(name, _bmp(size, depth, down=down), most)
    layouts = [(depth, masks) for depth, each in MASKS.items() for masks in each]
    for (depth, masks), down in product(layouts, (False, True)):
        name = f"BMP-fields-{depth}-{masks[0]:x}-{masks[3]:x}-{down}"
        yield Variant(name, _bmp((7, 5), depth, masks=masks, down=down), 1)
    for depth, masks in layouts:
        if len(masks) == 4 and masks[3]:
            data = _bmp((7, 5), depth, masks=masks, down=False, alpha=False)
            yield Variant(f"BMP-unfilled-alpha-{depth}-{masks[0]:x}", data, 1)
    for depth in (1, 4, 8):
        yield Variant(f"BMP-black-and-white-{depth}", files.black_and_white_bmp(depth))
    for depth in (4, 8):
        yield Variant(f"BMP-runs-{depth}", _runs(depth))


def _bmp(
    size: Size, depth: int, *, masks: tuple[int, ...] = (), down: bool, alpha: bool = True
) -> bytes:
    wide: NDArray[Any] = ramp(size, 4).astype(np.uint64)
    wide[..., 3] *= alpha
    samples: NDArray[Any]
    if depth == 24:
        samples, bits = wide[..., 2::-1], 8
    elif depth <= 8:
        samples, bits = wide[..., 0] >> (8 - depth), depth
    else:
        fields = masks or ((0x7C00, 0x3E0, 0x1F) if depth == 16 else (0xFF0000, 0xFF00, 0xFF))
        pixels = sum(_field(wide[..., i], mask) for i, mask in enumerate(fields))
        samples, bits = np.asarray(pixels).astype(f"<u{depth // 8}").view(np.uint8), 8
    rows = [_padded(row, bits) for row in samples.reshape(size[1], -1)]
    palette = b"".join(struct.pack("<L", mask) for mask in masks)
    if depth <= 8:
        colours = ramp((1 << depth, 1), 3)[0]
        palette = np.pad(colours[:, ::-1], ((0, 0), (0, 1))).tobytes()
    body = b"".join(rows if down else rows[::-1])
    shown = (size[0], -size[1] if down else size[1])
    if len(masks) == 4:
        return files.bmp(shown, depth, 3, body, palette=palette, header=56)
    return files.bmp(shown, depth, 0, body, palette=palette)


def _field(levels: NDArray[Any], mask: int) -> NDArray[Any]:
    if not mask:
        return np.zeros_like(levels)
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    return np.left_shift(np.rint(levels * (most / 255)).astype(np.uint64), np.uint64(shift))


def _padded(row: NDArray[Any], bits: int) -> bytes:
    shifts = np.arange(bits - 1, -1, -1)
    content = np.packbits((row[:, None].astype(np.uint8) >> shifts) & 1).tobytes()
    return content + bytes(-len(content) % 4)


def _runs(depth: int) -> bytes:
    palette = np.pad(ramp((1 << depth, 1), 3)[0], ((0, 0), (0, 1))).tobytes()
    literal = b"\x12\x30" if depth == 4 else b"\1\2\3\0"
    body = (b"\4\x11\0\3" + literal + b"\1\x22\0\0") * 3 + b"\x08\x11\0\1"
    return files.bmp((8, 4), depth, 1 if depth == 8 else 2, body, palette=palette)


def avifs() -> Iterator[Variant]:
    if not features.check("avif"):
        return
    for size, mode, sampling in product([(16, 16), (33, 18)], ("RGB", "RGBA"), ("4:2:0", "4:4:4")):
        image = Image.fromarray(ramp(size, len(mode)))
        data = saved(image, "AVIF", quality=95, subsampling=sampling, speed=10)
        yield Variant(f"AVIF-{mode}-{size}-{sampling}", data, 6)
    full: dict[str, Any] = {"subsampling": "4:4:4", "speed": 10}
    cut = ramp((32, 16), 4)
    cut[..., 3] = 255 * (np.arange(32) < 16)
    yield Variant("AVIF-cut", saved(Image.fromarray(cut), "AVIF", quality=100, **full), 6)
    for orientation in range(1, 9):
        data = saved(files.scene(), "AVIF", quality=95, exif=exif(orientation), **full)
        yield Variant(f"AVIF-turned-{orientation}", data, 6)
    if pyvips is not None:
        for depth, lossless in product((10, 12), (False, True)):
            wide = pyvips.Image.new_from_array(ramp((32, 16), 3).astype(np.uint16) * 257)
            options = {"compression": "av1", "bitdepth": depth, "lossless": lossless, "Q": 95}
            data = wide.copy(interpretation="rgb16").heifsave_buffer(**options)
            yield Variant(f"AVIF-{depth}-bits-{lossless}", data, 6)


MAKERS: dict[str, Callable[[], Iterator[Variant]]] = {
    "JPEG": jpegs,
    "PNG": pngs,
    "GIF": gifs,
    "WEBP": webps,
    "BMP": bmps,
    "AVIF": avifs,
}
