from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.preprocessing import Original, min_decoded_size, scale, to_pixels
from model_catalog.spec import SCALES, InputSpec
from tests.decoding import decode
from tests.flask_server.conftest import draw, flat, saved

PHOTO = Path(__file__).parents[3] / "test_images" / "cat.jpg"


def picture(size: tuple[int, int], mode: str = "RGB", seed: int = 0) -> Image.Image:
    return decode(draw("TIFF", size, mode, seed), max_pixels=10**9).image


def test_pixels_have_the_size_and_channels_of_the_spec() -> None:
    spec = InputSpec(height=6, width=9, color="grayscale")

    assert to_pixels(picture((20, 10)), spec).shape == (6, 9, 1)


def test_pad_centres_the_whole_picture_on_black() -> None:
    white = decode(flat("white"), max_pixels=100).image.resize((8, 4))

    pixels = to_pixels(white, InputSpec(height=8, width=8, fit="pad"))

    assert (pixels[2:6] == 255).all()
    assert (pixels[:2] == 0).all()
    assert (pixels[6:] == 0).all()


def test_crop_takes_the_middle() -> None:
    wide = Image.new("RGB", (30, 10))
    wide.paste("white", (10, 0, 20, 10))

    assert (to_pixels(wide, InputSpec(height=10, width=10, fit="crop")) == 255).all()


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (5, 7)])
def test_any_aspect_ratio_fits(fit: str, size: tuple[int, int]) -> None:
    spec = InputSpec(height=3, width=17, fit=fit)

    assert to_pixels(picture(size), spec).shape == (3, 17, 3)


@pytest.mark.parametrize(
    ("mode", "black", "white"),
    [
        ("tf", [-1, -1, -1], [1, 1, 1]),
        ("unit", [0, 0, 0], [1, 1, 1]),
        ("none", [0, 0, 0], [255, 255, 255]),
        ("caffe", [-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]),
        ("torch", [-2.117904, -2.035714, -1.804444], [2.248908, 2.428571, 2.64]),
    ],
)
def test_scale_of_black_and_white(mode: str, black: list[float], white: list[float]) -> None:
    pixels = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)

    scaled = scale(pixels, mode)

    assert scaled.dtype == np.float32
    assert np.allclose(scaled, [[black, white]], atol=1e-5)


def test_every_mode_of_the_spec_has_its_arithmetic() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)

    assert {mode: scale(pixels, mode).shape for mode in SCALES} == dict.fromkeys(SCALES, (2, 2, 3))


#: Sides that are and are not multiples of 8, 4 and 2.
ODD_SIZES = [(1600, 1200), (1001, 1001), (1007, 675), (2049, 1537), (683, 1023), (1302, 998)]


def reduced_difference(size: tuple[int, int], spec: InputSpec, orientation: int = 1) -> float:
    """The mean difference in levels between whole and reduced decoding."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(PHOTO) as photo:
        large = photo.resize(size, Image.Resampling.BICUBIC)
    data = saved(large, "JPEG", quality=90, exif=exif)
    slow = to_pixels(decode(data, max_pixels=10**9).image, spec)
    small = decode(data, max_pixels=10**9, min_size=partial(min_decoded_size, spec))
    assert small.image.width < small.upright_size[0]
    original = Original(small.upright_size, small.covered)
    fast = to_pixels(small.image, spec, original=original)
    return float(np.abs(slow.astype(float) - fast.astype(float)).mean())


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "hamming", "lanczos"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", ODD_SIZES[:3])
def test_fast_jpeg_stays_within_half_a_level(
    size: tuple[int, int], interpolation: str, fit: str
) -> None:
    spec = InputSpec(height=64, width=64, interpolation=interpolation, fit=fit)

    assert reduced_difference(size, spec) <= 0.5


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("side", [28, 48, 96, 192, 299])
@pytest.mark.parametrize("size", ODD_SIZES)
def test_fast_jpeg_keeps_the_geometry(size: tuple[int, int], side: int, fit: str) -> None:
    spec = InputSpec(height=side, width=side, fit=fit)
    least = min_decoded_size(spec, size)
    if least is None or min(size[0] // least[0], size[1] // least[1]) < 2:
        pytest.skip("the image is too small to be reduced")

    assert reduced_difference(size, spec) <= 0.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_fast_jpeg_keeps_the_geometry_of_turned_images(orientation: int) -> None:
    spec = InputSpec(height=48, width=48, fit="crop")

    assert reduced_difference((1001, 675), spec, orientation) <= 0.5


@pytest.mark.parametrize("interpolation", ["nearest", "box"])
def test_filters_with_hard_edges_never_shrink_while_decoding(interpolation: str) -> None:
    spec = InputSpec(height=8, width=8, interpolation=interpolation)

    assert min_decoded_size(spec, (8000, 8000)) is None


def test_pad_shrinks_to_little_more_than_twice_the_picture_inside() -> None:
    spec = InputSpec(height=100, width=100, fit="pad")

    assert min_decoded_size(spec, (4000, 1000)) == (205, 52)
