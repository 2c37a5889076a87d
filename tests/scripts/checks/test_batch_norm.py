"""The first batch normalisation tells how the pictures of a training were scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from model_catalog.spec import InputSpec
from scripts.checks.batch_norm import Divergence, NoStatistics, Statistics, statistics_of
from scripts.checks.candidates import Candidate, candidates
from scripts.checks.picture_files import levels_of, photographs
from tests.scripts.checks.calibrated import SIDE, calibrated
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

RGB = InputSpec(height=SIDE, width=SIDE)
GREY = InputSpec(height=SIDE, width=SIDE, color="grayscale")


def examined(model: keras.Model, spec: InputSpec = RGB) -> Statistics:
    return statistics_of(model, model, levels_of(photographs(), spec), spec)


@pytest.mark.parametrize(
    ("candidate", "spec"),
    [(c, RGB) for c in candidates(RGB)] + [(c, GREY) for c in candidates(GREY)],
    ids=str,
)
def test_the_scale_and_order_of_a_training_are_found(candidate: Candidate, spec: InputSpec) -> None:
    statistics = examined(calibrated(candidate, spec.channels), spec)

    assert statistics.divergences[0].candidate == candidate
    assert statistics.divergences[0].value < 0.1
    assert statistics.scales == (candidate.scale,)
    assert len(statistics.divergences) == len(candidates(spec))


def test_the_model_is_as_before() -> None:
    import numpy as np

    model = calibrated(Candidate("unit"))
    pictures = np.ones((1, SIDE, SIDE, 3))
    before = model(pictures).numpy()

    examined(model)

    assert (model(pictures).numpy() == before).all()


def test_a_frozen_layer_is_told() -> None:
    model = calibrated(Candidate("tf"))
    assert not examined(model).is_frozen

    model.layers[0].trainable = False

    assert examined(model).is_frozen


def test_a_model_without_batch_normalisation_tells_nothing() -> None:
    with pytest.raises(NoStatistics, match="The model has no batch normalisation"):
        examined(classifier(size=(SIDE, SIDE)))


def test_a_layer_that_was_never_trained_tells_nothing() -> None:
    import keras

    with pytest.raises(NoStatistics, match="norm was never trained"):
        examined(classifier(keras.layers.BatchNormalization(name="norm"), size=(SIDE, SIDE)))


def statistics(**values: float) -> Statistics:
    divergences = [
        Divergence(Candidate(name.removesuffix("_swapped"), name.endswith("_swapped")), value)
        for name, value in values.items()
    ]
    return Statistics(tuple(divergences), "norm", is_frozen=False)


@pytest.mark.parametrize(
    ("found", "scales"),
    [
        (statistics(unit=0.04, tf=2.19), ("unit",)),
        (statistics(tf=0.004, unit=0.09, none=6000.0), ("tf", "unit")),
        (statistics(tf=0.15, torch=0.27, unit=0.81), ("tf", "torch")),
        (statistics(unit=0.7, tf=9.0, none=5000.0), ("unit", "tf")),
    ],
)
def test_scales_that_fit_nearly_as_well_are_possible_too(
    found: Statistics, scales: tuple[str, ...]
) -> None:
    assert found.scales == scales


def test_the_order_is_decided_only_where_the_other_one_fits_badly() -> None:
    assert statistics(unit_swapped=0.01, unit=0.5).is_swapped
    assert not statistics(unit_swapped=0.2, unit=0.3).is_swapped
