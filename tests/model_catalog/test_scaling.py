"""The numbers behind the names of the scalings."""

from __future__ import annotations

import pytest

from model_catalog.scaling import SCALINGS
from model_catalog.spec import SCALES


def test_every_scale_of_the_spec_has_its_numbers() -> None:
    assert tuple(SCALINGS) == SCALES


@pytest.mark.parametrize(("scale", "darkest", "brightest"), [("tf", -1, 1), ("unit", 0, 1)])
def test_the_range_of_pixels_becomes_the_range_of_the_model(
    scale: str, darkest: float, brightest: float
) -> None:
    scaling = SCALINGS[scale]

    ends = [
        (level / scaling.divisor - scaling.mean[0]) / scaling.deviation[0] for level in (0, 255)
    ]

    assert ends == [darkest, brightest]


def test_only_caffe_reverses_colours() -> None:
    assert [name for name, scaling in SCALINGS.items() if scaling.reverses] == ["caffe"]
