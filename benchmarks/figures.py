"""Turn repeated measurements into the figures that are reported. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def median(values: Sequence[float]) -> float:
    """Return the median; a benchmark without a single measurement has no figure."""
    if not values:
        raise ValueError("There is no median of nothing.")
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that ``share`` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Return the median of the ratios round by round, so that a slow minute counts on both sides.

    Only rounds that both have count; something that came to zero has no ratio.
    """
    ratios = [a / b for a, b in zip(above, below, strict=False) if b > 0]
    return median(ratios)


def summary(runs: Sequence[Json], keys: Sequence[str]) -> Json:
    """Return the median of each key over the runs, and the runs themselves."""
    return {key: median([run[key] for run in runs]) for key in keys} | {"runs": list(runs)}


def column(runs: Sequence[Json], key: str) -> list[float]:
    """Return one key of every run."""
    return [float(run[key]) for run in runs]
