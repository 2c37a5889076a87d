"""Medians and ratios of repeated measurements."""

from __future__ import annotations

import pytest

from benchmarks.figures import median, paired_ratio, percentile, summary


def test_one_slow_round_does_not_move_the_median() -> None:
    assert median([10, 11, 500]) == 11


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        median([])


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 2), (0.75, 3), (0.99, 4), (1.0, 4)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([4, 2, 1, 3], share) == value


def test_a_ratio_is_taken_round_by_round() -> None:
    """The machine was half as fast in the second and third round: the ratio is unaffected."""
    assert paired_ratio([100, 50, 50], [50, 25, 25]) == 2


def test_a_round_that_came_to_nothing_has_no_ratio() -> None:
    assert paired_ratio([100, 50], [0, 25]) == 2


def test_a_summary_keeps_its_runs() -> None:
    runs = [{"a": 1, "b": 9}, {"a": 3, "b": 8}, {"a": 2, "b": 7}]

    found = summary(runs, ("a",))

    assert found == {"a": 2, "runs": runs}
