"""Check the scores in a predict response: one row of finite numbers for each image. Pure.

A model of two classes may return a single score, that of the second class, as models that end in
one unit with a sigmoid do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import ServingError
from flask_server.serving.outputs import output_of, rows_of_column
from model_catalog.spec import OutputSpec

#: One score per class, shape (classes,).
Scores = NDArray[np.float64]


def read_scores(
    rows: object,
    *,
    count: int,
    output: OutputSpec,
    divisor: float = 1.0,
) -> list[Scores]:
    """Return ``count`` rows of finite numbers, one for each class, or raise ServingError.

    All numbers are divided by ``divisor``.
    """
    if not isinstance(rows, list) or len(rows) != count:
        raise ServingError(f"Serving's response is not a list of {count} predictions.")
    return [_row(_numbers(row) / divisor, output) for row in rows]


def rows_of_columns(outputs: object, name: str | None, *, is_one: bool) -> object:
    """Return the rows of scores in a response in column format.

    With ``is_one`` the outputs are those of one image, and may lack the dimension of the images.
    """
    return rows_of_column(outputs if name is None else output_of(outputs, name), is_one=is_one)


def count_scores(rows: object) -> int:
    """Return how many scores the response to a call with one image has; raise ServingError if none.

    Their values are not looked at.
    """
    if not isinstance(rows, list) or len(rows) != 1:
        raise ServingError("Serving's response is not a list of 1 predictions.")
    scores = _numbers(rows[0])
    if scores.ndim > 1 or not scores.size:
        raise ServingError(f"Serving returned scores of shape {scores.shape} for an image.")
    return scores.size


def rows_of_output(rows: object, output: str | None) -> object:
    """Return the rows of one output of several, or raise ServingError for a row that lacks it.

    Without a name, the rows are those of the only output.
    """
    if output is None or not isinstance(rows, list):
        return rows
    return [output_of(row, output) for row in rows]


def _numbers(row: object) -> Scores:
    try:
        return np.asarray(row, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ServingError(
            "A prediction in Serving's response is not a list of numbers."
        ) from error


def _row(scores: Scores, output: OutputSpec) -> Scores:
    if scores.ndim == 0 and output.classes <= 2:
        scores = scores[np.newaxis]
    is_single = scores.shape == (1,) and output.classes == 2 and output.activation != "raw"
    if scores.shape != (output.classes,) and not is_single:
        raise ServingError(
            f"Serving returned scores of shape {scores.shape} for an image; the model has "
            f"{output.classes} classes."
        )
    if not np.isfinite(scores).all():
        raise ServingError("The model's scores are not all finite numbers.")
    return _of_both_classes(float(scores[0]), output) if is_single else scores


def _of_both_classes(score: float, output: OutputSpec) -> Scores:
    """Return the scores of two classes, from a model that returns only the second."""
    if output.activation == "none":
        # The softmax of these two logits is the sigmoid of the second and the rest.
        return np.array([0.0, score])
    if not 0 <= score <= 1:
        raise ServingError(
            f"The model's score of its second class is {score:g}, which is no probability; a model "
            'that returns logits needs activation = "none".'
        )
    return np.array([1 - score, score])
