"""Check the scores in a predict response: one row of finite numbers for each image. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import ServingError

#: One score per class, shape (classes,).
Scores = NDArray[np.float64]


def read_scores(
    rows: object, *, count: int, classes: int, output: str | None = None
) -> list[Scores]:
    """Return ``count`` rows of ``classes`` finite numbers each, or raise ServingError.

    ``output`` is the name of the output with the scores if the signature has several.
    """
    if not isinstance(rows, list) or len(rows) != count:
        raise ServingError(f"Serving's response is not a list of {count} predictions.")
    return [_row(row if output is None else _output_of(row, output), classes) for row in rows]


def _output_of(row: object, output: str) -> object:
    if not isinstance(row, dict) or output not in row:
        raise ServingError(f"A prediction in Serving's response lacks the output {output}.")
    return row[output]


def _row(row: object, classes: int) -> Scores:
    try:
        scores: Scores = np.asarray(row, np.float64)
    except (TypeError, ValueError) as error:
        raise ServingError(
            "A prediction in Serving's response is not a list of numbers."
        ) from error
    if scores.shape != (classes,):
        raise ServingError(
            f"Serving returned scores of shape {scores.shape} for an image; the model has {classes}"
            " classes."
        )
    if not np.isfinite(scores).all():
        raise ServingError("The model's scores are not all finite numbers.")
    return scores
