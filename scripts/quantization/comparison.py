"""Compare the scores of two precisions, and their speed. Pure, apart from the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TYPE_CHECKING, Final

from model_catalog.quantization import INT8, Comparison
from scripts.softmax import softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]
    Flags = NDArray[np.bool_]

#: Smallest difference of the first two scores of an image whose class is sure.
SURE: Final = 0.05
#: Many short turns, so that the load of the machine hardly changes within a round.
_ROUNDS: Final = 45
#: Seconds that one precision computes for in a round.
_TURN_S: Final = 0.05


def compare(f32: Scores, int8: Scores, activation: str) -> Comparison:
    """Compare one row of scores per image; logits (activation ``none``) become probabilities."""
    import numpy as np

    f32, int8 = probabilities(f32, activation), probabilities(int8, activation)
    agrees = f32.argmax(axis=1) == int8.argmax(axis=1)
    sure, changes = is_sure(f32), np.abs(f32 - int8)
    return Comparison(
        images=len(f32),
        sure=int(sure.sum()),
        agreement=float(agrees[sure].mean()) if sure.any() else 0.0,
        agreement_of_all=float(agrees.mean()),
        largest_change=float(changes.max()),
        mean_change=float(changes.mean()),
    )


def probabilities(rows: Scores, activation: str) -> Scores:
    """Return the scores; those that are logits after a softmax."""
    return softmax(rows) if activation == "none" else rows


def is_sure(rows: Scores) -> Flags:
    """Return for each row whether its first score is clearly above the second."""
    import numpy as np

    if rows.shape[1] < 2:
        return np.ones(len(rows), bool)
    second, first = np.partition(rows, -2, axis=1)[:, -2:].T
    return np.asarray(first - second >= SURE)


def speeds(
    runs: Mapping[str, Callable[[], object]], images: int, progress: Callable[[], object]
) -> tuple[dict[str, float], float]:
    """Return images per second by precision, and how much faster int8 is than the fastest other.

    ``runs`` compute ``images`` images each. They take turns, so that the load of the machine
    changes for all of them alike. Speeds are medians of the rounds; the ratio is the smaller one of
    that of the speeds and the median of the ratios within a round, which differ on a busy machine.
    """
    rounds = []
    for run in runs.values():
        run()  # the first run allocates memory
    for _ in range(_ROUNDS):
        rounds.append({name: _rate(run, images) for name, run in runs.items()})
        progress()
    per_second = {name: round(median(turn[name] for turn in rounds), 1) for name in runs}
    others = [name for name in runs if name != INT8]
    in_rounds = [median(turn[INT8] / turn[name] for turn in rounds) for name in others]
    of_medians = [per_second[INT8] / per_second[name] for name in others]
    return per_second, round(min(in_rounds + of_medians), 3)


def _rate(run: Callable[[], object], images: int) -> float:
    start, count, passed = time.perf_counter(), 0, 0.0
    while passed < _TURN_S or not count:
        run()
        count += images
        passed = time.perf_counter() - start
    return count / passed
