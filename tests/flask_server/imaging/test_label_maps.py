"""A label map lies on the original image where the model saw it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_server.imaging.geometry import Size
from flask_server.imaging.label_maps import UNSEEN, place, whole
from model_catalog.spec import FITS, InputSpec

QUARTERS = np.array([[0, 1], [2, 3]], np.uint8)
SIDES = st.integers(1, 40)


def spec(fit: str, height: int = 8, width: int = 8) -> InputSpec:
    return InputSpec(height=height, width=width, fit=fit)


def test_stretched_map_covers_the_whole_image() -> None:
    pixels = place(QUARTERS, (4, 2), spec("stretch")).pixels()

    assert pixels.tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]


def test_cropped_parts_are_not_seen() -> None:
    pixels = place(QUARTERS, (4, 2), spec("crop")).pixels()

    assert pixels.tolist() == [[UNSEEN, 0, 1, UNSEEN], [UNSEEN, 2, 3, UNSEEN]]


def test_padding_is_cut_off() -> None:
    cells = np.array([[9] * 4, [0, 1, 2, 3], [4, 5, 6, 7], [9] * 4], np.uint8)

    pixels = place(cells, (4, 2), spec("pad")).pixels()

    assert pixels.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_map_of_a_tensor_is_its_own() -> None:
    assert whole(QUARTERS).pixels().tolist() == QUARTERS.tolist()


@given(
    size=st.tuples(SIDES, SIDES),
    target=st.tuples(SIDES, SIDES),
    cells=st.tuples(SIDES, SIDES),
    fit=st.sampled_from(FITS),
)
def test_areas_count_the_pixels(size: Size, target: Size, cells: Size, fit: str) -> None:
    classes = np.random.default_rng(0).integers(0, 5, cells, np.uint8)

    label_map = place(classes, size, spec(fit, *target))

    pixels = label_map.pixels()
    assert pixels.shape == (size[1], size[0])
    counts = np.bincount(pixels.ravel(), minlength=256)
    assert label_map.areas(5).tolist() == counts[:5].tolist()
    assert fit == "crop" or not counts[UNSEEN]


@pytest.mark.parametrize("size", [(2, 2), (40, 20), (7, 3)])
def test_a_resized_copy_has_the_same_classes(size: Size) -> None:
    pixels = place(QUARTERS, (40, 20), spec("stretch")).pixels(size)

    assert pixels.shape == (size[1], size[0])
    assert (pixels[0, 0], pixels[0, -1]) == (0, 1)
