"""Check the scores that Serving answered: one row of finite numbers for each picture. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import ServingError

Scores = NDArray[np.float64]


def read_scores(
    rows: object, *, count: int, classes: int, output: str | None = None
) -> list[Scores]:
    """Check what Serving answered: ``count`` rows of ``classes`` finite numbers each.

    ``output`` names the one that has the scores where the signature has several.
    """
    if not isinstance(rows, list) or len(rows) != count:
        raise ServingError(f"Serving did not answer with a list of {count} predictions.")
    return [_row(row if output is None else _named(row, output), classes) for row in rows]


def _named(row: object, output: str) -> object:
    if not isinstance(row, dict) or output not in row:
        raise ServingError(f"Serving answered a prediction without the output {output}.")
    return row[output]


def _row(row: object, classes: int) -> Scores:
    try:
        scores: Scores = np.asarray(row, np.float64)
    except (TypeError, ValueError) as error:
        raise ServingError("Serving answered a prediction that is no list of numbers.") from error
    if scores.shape != (classes,):
        received = "x".join(map(str, scores.shape)) or "one"
        raise ServingError(f"Serving answered {received} numbers; the model has {classes} classes.")
    if not np.isfinite(scores).all():
        raise ServingError("The model's scores are not all finite numbers.")
    return scores
