from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.occlusion import occlude_cells, seen_box
from flask_server.imaging.preprocessing import Pixels, to_pixels
from model_catalog.spec import InputSpec

NOISE: Pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.mark.parametrize("cells", [2, 5, 11])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_picture_per_cell_of_the_same_form(cells: int, channels: int) -> None:
    pictures = list(occlude_cells(NOISE[..., :channels], cells))

    assert len(pictures) == cells * cells
    assert {(p.shape, p.dtype) for p in pictures} == {((40, 60, channels), np.dtype(np.uint8))}


def test_cells_come_row_by_row() -> None:
    changed = [np.argwhere(p != NOISE).mean(axis=0)[:2] for p in occlude_cells(NOISE, 4)]

    rows = [changed[cell][0] for cell in (0, 4, 8, 12)]
    columns = [changed[cell][1] for cell in (0, 1, 2, 3)]
    assert rows == sorted(rows)
    assert columns == sorted(columns)
    assert abs(changed[0][0] - changed[3][0]) < 1


def test_a_patch_hides_its_cell_and_nothing_beyond_the_next_ones() -> None:
    """Of 5 x 5 cells the one in the middle spans rows 16 to 24 and columns 24 to 36."""
    middle = list(occlude_cells(NOISE, 5))[12]

    own = middle[16:24, 24:36].astype(float)
    assert own.std() < NOISE[16:24, 24:36].std() / 4
    outside = np.ones((40, 60), bool)
    outside[8:32, 12:48] = False
    assert (middle[outside] == NOISE[outside]).all()


def test_neighbouring_patches_together_hide_each_pixel_at_least_once() -> None:
    white = np.full((40, 60, 3), 255, np.uint8)

    loss = np.sum([white.astype(int) - p for p in occlude_cells(white, 5)], axis=0)

    assert loss.min() >= 255 / 8


def test_patches_take_shape_and_some_colour_but_add_no_hard_edge() -> None:
    white = np.full((40, 60, 3), 255, np.uint8)

    middle = list(occlude_cells(white, 5))[12].astype(int)

    assert 200 < middle.min() < 255
    assert max(np.abs(np.diff(middle, axis=axis)).max() for axis in (0, 1)) <= 8


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
def test_what_the_model_sees(
    fit: str, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    view = InputSpec(height=50, width=50, fit=fit)

    found = seen_box(size, view)

    # A padded picture starts at a whole pixel of the model's.
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
