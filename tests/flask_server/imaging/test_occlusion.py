from __future__ import annotations

import numpy as np
import pytest

from flask_server.imaging.occlusion import occlude_cells
from flask_server.imaging.preprocessing import Pixels

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
