from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.geometry import seen_box
from flask_server.imaging.preprocessing import to_pixels
from model_catalog.spec import InputSpec


@pytest.mark.parametrize(
    ("fit", "size", "box"),
    [
        ("stretch", (200, 100), (0, 0, 200, 100)),
        ("crop", (200, 100), (50, 0, 150, 100)),
        ("crop", (100, 100), (0, 0, 100, 100)),
        ("crop", (100, 300), (0, 100, 100, 200)),
        ("pad", (200, 100), (0, -48, 200, 152)),
        ("pad", (100, 200), (-48, 0, 152, 200)),
        ("pad", (100, 100), (0, 0, 100, 100)),
        ("pad", (1000, 1), (0, -24, 1000, 26)),
    ],
)
def test_the_seen_box_depends_on_the_fit(
    fit: str, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    view = InputSpec(height=50, width=50, fit=fit)

    found = seen_box(size, view)

    # A padded image starts at a whole pixel of the model's input.
    assert found == pytest.approx(box, abs=2)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(90, 60), (60, 90)])
def test_box_agrees_with_preprocessing(fit: str, size: tuple[int, int]) -> None:
    """A bright spot lies at the same share of the box and of the model's pixels."""
    view = InputSpec(height=30, width=30, color="grayscale", fit=fit)
    image = Image.new("L", size)
    image.paste(255, (40, 35, 46, 41))

    pixels = to_pixels(image, view)[..., 0]

    left, top, right, bottom = seen_box(size, view)
    rows, columns = np.nonzero(pixels > 127)
    assert (columns.mean() + 0.5) / 30 == pytest.approx((43 - left) / (right - left), abs=0.03)
    assert (rows.mean() + 0.5) / 30 == pytest.approx((38 - top) / (bottom - top), abs=0.03)
