"""Decoding gives the colours that libvips gives, over generated variants of every format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from flask_server.errors import UnsupportedImage
from flask_server.imaging.decoding import FORMATS, decode
from tests.strangers.files import saved
from tests.strangers.variants import MAKERS

pyvips = pytest.importorskip("pyvips", exc_type=ImportError)

SIZES = [(1, 1), (7, 5), (33, 18)]

#: Where libvips is not followed, by words of a variant's name. Chromium agrees with the gateway on
#: all of these that it shows.
NOT_FOLLOWED = {
    "Adobe-4": "libvips converts CMYK by the profile of a printing press, if the file has none",
    "GIF-part": "libvips makes the canvas black where no frame is, and the gateway white",
    "4:2:0": "libheif repeats the values of subsampled colours, others interpolate them",
}


def ramp(size: tuple[int, int], mode: str) -> Image.Image:
    """A smooth picture, so that lossy codecs change it little."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(float)
    across, down = x / max(1, size[0] - 1), y / max(1, size[1] - 1)
    channels = [across, down, (across + down) / 2, 1 - down / 2]
    levels = [np.rint(255 * channel).astype(np.uint8) for channel in channels]
    if mode == "P":
        return Image.fromarray(np.dstack(levels[:3])).quantize(16)
    if mode == "I;16":
        return Image.fromarray(levels[0].astype(np.uint16) * 257)
    if mode in {"1", "L"}:
        return Image.fromarray(levels[0]).convert(mode)
    pairs = {"LA": [levels[0], levels[3]], "RGB": levels[:3], "RGBA": levels}
    return Image.fromarray(np.dstack(pairs[mode]), mode if mode == "LA" else None)


def by_libvips(data: bytes) -> np.ndarray:
    image = pyvips.Image.new_from_buffer(data, "").autorot()
    if image.hasalpha():
        image = image.flatten(background=[image.interpretation.endswith("16") and 65535 or 255])
    return np.asarray(image.colourspace("srgb").numpy(), np.uint8)[..., :3]


#: Modes, options and the largest difference of a format.
VARIANTS: dict[str, tuple[list[str], list[dict[str, Any]], int]] = {
    "PNG": (["1", "L", "LA", "P", "RGB", "RGBA", "I;16"], [{}, {"bits": 4}], 1),
    "GIF": (["1", "L", "P"], [{}, {"interlace": True}, {"transparency": 1}], 1),
    "JPEG": (
        ["L", "RGB"],
        [{"quality": 95, "subsampling": s, "progressive": p} for s in (0, 2) for p in (0, 1)],
        6,
    ),
    "WEBP": (["RGB", "RGBA"], [{"lossless": True, "exact": True}], 1),
    "TIFF": (
        ["1", "L", "P", "RGB", "RGBA"],
        [{}, {"compression": "tiff_lzw"}, {"compression": "packbits"}, {"big_tiff": True}],
        1,
    ),
    "AVIF": (["RGB"], [{"quality": 100, "subsampling": "4:4:4"}], 6),
}


def variants() -> Iterator[Any]:
    for kind, (modes, options, most) in VARIANTS.items():
        if kind not in FORMATS:
            continue
        for mode, size, option, turned in product(modes, SIZES, options, (1, 6)):
            if "bits" in option and mode != "P":
                continue
            words = "-".join(map(str, option.values()))
            name = f"{kind}-{mode}-{size[0]}x{size[1]}-{words}-{turned}"
            yield pytest.param(kind, mode, size, option | {"turned": turned}, most, id=name)


@pytest.mark.parametrize(("kind", "mode", "size", "options", "most"), list(variants()))
def test_the_colours_are_those_of_libvips(
    kind: str, mode: str, size: tuple[int, int], options: dict[str, Any], most: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = options["turned"]
    save = {key: value for key, value in options.items() if key != "turned"}
    if kind not in {"GIF"}:
        save["exif"] = exif
    data = saved(ramp(size, mode), kind, **save)
    try:
        expected = by_libvips(data)
    except pyvips.Error:
        pytest.skip("this libvips does not read it")

    pixels = np.asarray(decode(data, max_pixels=10**6).image.convert("RGB"))

    assert np.abs(pixels.astype(int) - expected).max() <= most


@pytest.mark.parametrize("kind", MAKERS)
def test_the_colours_of_what_browsers_show_are_those_of_libvips(kind: str) -> None:
    wrong, compared = [], 0
    for variant in MAKERS[kind]():
        if any(words in variant.name for words in NOT_FOLLOWED):
            continue
        try:
            expected = by_libvips(variant.data)
        except pyvips.Error:
            continue
        compared += 1
        pixels = np.asarray(decode(variant.data, max_pixels=10**6).image.convert("RGB"))
        if not variant.is_like(pixels, expected):
            wrong.append(variant.name)

    assert wrong == []
    assert compared or kind == "BMP"  # which libvips reads through ImageMagick only


def tiffs() -> Iterator[Any]:
    depths = (np.uint8, np.uint16)
    layouts = [("minisblack", 1), ("miniswhite", 1), ("rgb", 3), ("rgb", 4)]
    rest = product((None, "zlib"), (None, (16, 16)), "<>", ("contig", "separate"))
    for depth, (photometric, bands), (packed, tile, order, planes) in product(
        depths, layouts, list(rest)
    ):
        if bands == 1 and planes == "separate":
            continue
        name = f"{photometric}{bands}-{np.dtype(depth)}-{packed}-{tile}-{order}-{planes}"
        options: dict[str, Any] = {"compression": packed, "tile": tile, "byteorder": order}
        if bands > 1:
            options["planarconfig"] = planes
        if bands == 4:
            options["extrasamples"] = ["unassalpha"]
        yield pytest.param(photometric, bands, depth, options, id=name)


@pytest.mark.parametrize(("photometric", "bands", "depth", "options"), list(tiffs()))
def test_a_tiff_has_the_colours_of_libvips_or_is_refused(
    photometric: str, bands: int, depth: type, options: dict[str, Any]
) -> None:
    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    values: np.ndarray = np.asarray(ramp((33, 18), modes[bands])).astype(depth)
    values = values * 257 if depth is np.uint16 else values
    if options.get("planarconfig") == "separate":
        values = np.moveaxis(values, -1, 0).copy()
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric=photometric, **options)

    try:
        pixels = np.asarray(decode(file.getvalue(), max_pixels=10**6).image.convert("RGB"))
    except UnsupportedImage:
        return
    try:
        expected = by_libvips(file.getvalue())
    except pyvips.Error:
        pytest.skip("libvips does not read planes in tiles")

    assert np.abs(pixels.astype(int) - expected).max() <= 1
