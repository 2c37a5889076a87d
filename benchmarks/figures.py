"""Summarise repeated measurements. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

#: The sections with throughput and latency over connections, one per model.
CURVES = ("mobilenet_connections", "inception_connections")


def median(values: Sequence[float]) -> float:
    """Return the median, or raise ValueError without any value."""
    if not values:
        raise ValueError("A median needs at least one value.")
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least a ``share`` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios of each round, so that a slow round affects both values.

    Rounds that only one side has, and rounds with a zero in ``below``, are left out.
    """
    ratios = [a / b for a, b in zip(above, below, strict=False) if b > 0]
    return median(ratios)


def summary(runs: Sequence[Json], keys: Sequence[str]) -> Json:
    """Return the median of each key over the runs, and the runs themselves."""
    return {key: median([run[key] for run in runs]) for key in keys} | {"runs": list(runs)}


def column(runs: Sequence[Json], key: str) -> list[float]:
    """Return one key of every run."""
    return [float(run[key]) for run in runs]
