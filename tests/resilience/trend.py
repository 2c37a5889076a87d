"""Tell whether a figure that is measured again and again grows. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median

#: Parts of the time; a figure counts with its median in each, so that short peaks do not matter.
PARTS = 40


def growth(at: Sequence[float], values: Sequence[float]) -> float:
    """Return how much a figure grows from the first to the last time.

    The slope is the median of the slopes between all pairs of parts (Theil and Sen), which single
    steps and outliers hardly change.
    """
    points = medians(at, values)
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for earlier, later in combinations(points, 2)
    ]
    return median(slopes) * (at[-1] - at[0]) if slopes else 0.0


def medians(at: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the middle and the median value of each part of the time."""
    if not at:
        return []
    length = (at[-1] - at[0]) / PARTS
    parts: dict[int, list[float]] = {}
    for moment, value in zip(at, values, strict=True):
        part = min(PARTS - 1, int((moment - at[0]) / length)) if length else 0
        parts.setdefault(part, []).append(value)
    return [(at[0] + (part + 0.5) * length, median(found)) for part, found in parts.items()]
