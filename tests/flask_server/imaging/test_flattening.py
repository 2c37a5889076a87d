from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.preprocessing import to_pixels
from model_catalog.spec import InputSpec
from tests.decoding import decode
from tests.flask_server.conftest import flat, saved
from tests.flask_server.imaging.test_decoding import ALL, pixels


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(flat((200, 0, 0, 0), "RGBA"), id="RGBA"),
        pytest.param(flat((9, 0), "LA"), id="LA"),
        pytest.param(flat((200, 0, 0, 0), "RGBA", "WEBP", lossless=True), id="WebP"),
        pytest.param(flat((1, 2, 3), transparency=(1, 2, 3)), id="RGB with a transparent colour"),
        pytest.param(flat(0, "P", transparency=0), id="palette"),
        pytest.param(flat(0, "P", "GIF", transparency=0), id="GIF"),
    ],
)
def test_transparency_lies_on_white(data: bytes) -> None:
    picture = decode(data, max_pixels=ALL)

    assert picture.flattened
    assert not picture.image.has_transparency_data
    assert (np.asarray(picture.image.convert("RGB")) == 255).all()


def test_half_transparency_mixes_with_white() -> None:
    assert (pixels(flat((0, 0, 0, 128), "RGBA")) == 127).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)

    assert pixels(saved(Image.fromarray(values), kind)).tolist() == [[0, 0, 1, 128, 255]]


@pytest.mark.parametrize("mode", ["LAB", "CMYK", "YCbCr", "F", "1"])
@pytest.mark.parametrize("color", ["rgb", "grayscale"])
def test_every_colour_mode_becomes_what_a_model_wants(mode: str, color: str) -> None:
    data = saved(Image.new(mode, (8, 8)), "TIFF")

    image = decode(data, max_pixels=ALL).image

    assert to_pixels(image, InputSpec(height=4, width=4, color=color)).shape[:2] == (4, 4)
