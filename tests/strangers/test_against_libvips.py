"""Decoding gives the colours that libvips gives, over generated variants of every format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from flask_server.errors import UnsupportedImage
from flask_server.imaging.formats import FORMATS
from tests.decoding import decode
from tests.strangers import files
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

#: Formats that libvips does not read. Each file of the others is compared.
NOT_READ = {"BMP"}  # but through ImageMagick


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
    expected = by_libvips(data)

    pixels = np.asarray(decode(data, max_pixels=10**6).image.convert("RGB"))

    assert np.abs(pixels.astype(int) - expected).max() <= most


@pytest.mark.parametrize("kind", sorted(MAKERS.keys() - NOT_READ))
def test_the_colours_of_what_browsers_show_are_those_of_libvips(kind: str) -> None:
    wrong, compared = [], 0
    for variant in MAKERS[kind]():
        if any(words in variant.name for words in NOT_FOLLOWED):
            continue
        expected = by_libvips(variant.data)
        compared += 1
        pixels = np.asarray(decode(variant.data, max_pixels=10**6).image.convert("RGB"))
        if not variant.is_like(pixels, expected):
            wrong.append(variant.name)

    assert wrong == []
    assert compared or kind not in FORMATS


@pytest.mark.parametrize("name", ["baseline", "progressive"])
def test_arithmetic_coding_has_the_colours_of_libvips(name: str) -> None:
    data = files.arithmetic_jpeg(name)

    pixels = np.asarray(decode(data, max_pixels=10**6).image)

    assert np.abs(pixels.astype(int) - by_libvips(data)).max() <= 3


@dataclass(frozen=True)
class Tiff:
    """How a TIFF is written."""

    photometric: str
    channels: int
    dtype: str
    options: dict[str, Any]

    @property
    def in_planes(self) -> bool:
        return self.options.get("planarconfig") == "separate"

    @property
    def is_refused(self) -> bool:
        """Whether it is a valid file that is not read: Pillow takes its first plane for all."""
        return self.in_planes and self.dtype == "u2" and not self.options["compression"]

    def data(self, **changed: Any) -> bytes:
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[self.channels]
        levels: np.ndarray = np.asarray(ramp((33, 18), mode)).astype(self.dtype)
        values = levels * 257 if self.dtype == "u2" else levels
        if self.in_planes:
            values = np.moveaxis(values, -1, 0).copy()
        file = io.BytesIO()
        tifffile.imwrite(file, values, photometric=self.photometric, **self.options | changed)
        return file.getvalue()

    def by_libvips(self) -> np.ndarray:
        """The colours, of the same picture without tiles where libvips reads no tiles."""
        return by_libvips(self.data(tile=None) if self.in_planes else self.data())


#: Photometric interpretation, channels, and what the last one is.
LAYOUTS: list[tuple[str, int, list[str]]] = [
    ("minisblack", 1, []),
    ("miniswhite", 1, []),
    ("minisblack", 2, ["unassalpha"]),
    ("minisblack", 2, ["assocalpha"]),
    ("miniswhite", 2, ["unassalpha"]),
    ("rgb", 3, []),
    ("rgb", 4, ["unassalpha"]),
]


def tiffs() -> Iterator[Any]:
    codings = product(
        ((None, None), ("zlib", None), ("zlib", 2)),
        (None, (16, 16)),
        "<>",
        (False, True),
        ("contig", "separate"),
    )
    for dtype, layout, coding in product(("u1", "u2"), LAYOUTS, list(codings)):
        (photometric, channels, extra), ((packed, predictor), tile, order, big, planes) = (
            layout,
            coding,
        )
        if channels <= 2 and planes == "separate":
            continue
        options: dict[str, Any] = {"compression": packed, "predictor": predictor, "tile": tile}
        options |= {"byteorder": order, "bigtiff": big, "extrasamples": extra or None}
        if channels > 1:
            options["planarconfig"] = planes
        name = "-".join(map(str, (photometric, channels, *extra, dtype, *coding[0], *coding[1:])))
        yield pytest.param(Tiff(photometric, channels, dtype, options), id=name)


@pytest.mark.parametrize("tiff", list(tiffs()))
def test_a_tiff_has_the_colours_of_libvips_or_is_refused(tiff: Tiff) -> None:
    if tiff.is_refused:
        with pytest.raises(UnsupportedImage, match="planes of 16 bits, uncompressed"):
            decode(tiff.data(), max_pixels=10**6)
        return

    pixels = np.asarray(decode(tiff.data(), max_pixels=10**6).image.convert("RGB"))

    assert np.abs(pixels.astype(int) - tiff.by_libvips()).max() <= 1


@pytest.mark.parametrize("predictor", ["none", "float"])
@pytest.mark.parametrize("tile", [False, True])
@pytest.mark.parametrize("compression", ["deflate", "lzw"])
def test_fractions_have_the_levels_of_libvips(predictor: str, tile: bool, compression: str) -> None:
    levels = pyvips.Image.new_from_array(np.asarray(ramp((33, 18), "L"))).cast("float")
    options = {"tile": tile, "tile_width": 16, "tile_height": 16}
    data = levels.tiffsave_buffer(compression=compression, predictor=predictor, **options)

    pixels = np.asarray(decode(data, max_pixels=10**6).image.convert("RGB"))

    assert np.abs(pixels.astype(int) - by_libvips(data)).max() <= 1
