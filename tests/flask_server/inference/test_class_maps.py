"""The class of each pixel, read from each form that the output of a segmentation may have."""

from __future__ import annotations

import numpy as np
import pytest

from flask_server.errors import ServingError
from flask_server.inference.class_maps import class_map
from model_catalog.spec import OutputSpec


@pytest.mark.parametrize(
    ("shape", "classes"), [((2, 2, 3), 3), ((3, 2, 2), 3), ((3, 2, 1), 2), ((2, 2), 2), ((2, 2), 3)]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_is_no_class(shape: tuple[int, ...], classes: int, dtype: type[np.floating]) -> None:
    values = np.zeros(shape, dtype)
    output = OutputSpec(classes=classes)
    assert not class_map(values, output).any()

    values.flat[1] = np.nan

    with pytest.raises(ServingError, match="NaN"):
        class_map(values, output)


def test_an_infinite_score_is_the_highest_one() -> None:
    scores = np.array([[[0.5, np.inf], [0.5, -np.inf]]])

    assert class_map(scores, OutputSpec(classes=2)).tolist() == [[1, 0]]
