from __future__ import annotations

import random

import pytest

from tests.resilience.trend import growth

AT = [float(second) for second in range(600)]


def test_a_flat_figure_with_noise_and_peaks_does_not_grow() -> None:
    chance = random.Random(1)
    values = [100 + chance.uniform(-3, 3) + (50 if second % 37 == 0 else 0) for second in AT]

    assert growth(AT, [float(value) for value in values]) == pytest.approx(0, abs=1)


def test_a_leak_shows_under_noise() -> None:
    chance = random.Random(1)

    assert growth(AT, [100 + 0.1 * second + chance.uniform(-3, 3) for second in AT]) == (
        pytest.approx(60, rel=0.05)
    )


@pytest.mark.parametrize("values", [[], [5.0]])
def test_too_few_values_have_no_slope(values: list[float]) -> None:
    assert growth(AT[: len(values)], values) == 0
