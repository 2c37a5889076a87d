"""Raw pixels become the floats that the graph would make of them."""

from __future__ import annotations

import numpy as np
import pytest

from model_catalog.spec import SCALES, InputSpec
from model_server.engines.raw_pixels import check_pixels, scaler
from model_server.errors import InvalidArgument
from scripts.picture_graph import SCALING


def strings(*pictures: bytes) -> np.ndarray:
    array = np.empty(len(pictures), dtype=object)
    array[:] = pictures
    return array


@pytest.mark.parametrize(
    ("scale", "floats"),
    [
        ("tf", [-1.0, 0.0039216, 1.0]),
        ("unit", [0.0, 0.5019608, 1.0]),
        ("caffe", [255 - 103.939, 128 - 116.779, -123.68]),
        ("torch", [-2.1179039, 0.2051822, 2.64]),
        ("none", [0.0, 128.0, 255.0]),
    ],
)
def test_each_scale_does_its_arithmetic(scale: str, floats: list[float]) -> None:
    spec = InputSpec(height=1, width=1, scale=scale)

    scaled = scaler(spec)(strings(bytes([0, 128, 255])))

    np.testing.assert_allclose(scaled, [[[floats]]], rtol=1e-5, atol=1e-6)
    assert scaled.dtype == np.float32


def test_every_scale_is_the_one_of_the_graph() -> None:
    levels = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    pictures = strings(*(picture.tobytes() for picture in levels))

    for scale in SCALES:
        scaled = scaler(InputSpec(height=3, width=4, scale=scale))(pictures)

        np.testing.assert_allclose(scaled, SCALING[scale](levels.astype(np.float32)), rtol=1e-5)


def test_rows_columns_and_colours_stay_in_order() -> None:
    spec = InputSpec(height=2, width=3, color="grayscale", scale="none")

    scaled = scaler(spec)(strings(bytes(range(6)), bytes(range(6, 12))))

    assert scaled.tolist() == np.arange(12.0).reshape(2, 2, 3, 1).tolist()


@pytest.mark.parametrize("length", [0, 17, 19, 36])
def test_a_string_of_another_length_is_refused(length: int) -> None:
    spec = InputSpec(height=2, width=3)
    check_pixels(strings(bytes(18)), spec)

    with pytest.raises(InvalidArgument) as refusal:
        check_pixels(strings(bytes(18), bytes(length)), spec)

    assert refusal.value.message == (
        f"pixels[1] has {length} bytes; allowed are 18: height 2 x width 3 x 3 channels."
    )


def test_pictures_come_in_one_list() -> None:
    with pytest.raises(InvalidArgument, match=r"the shape \[1, 1\]; allowed is \[-1\]"):
        check_pixels(strings(bytes(18)).reshape(1, 1), InputSpec(height=2, width=3))
