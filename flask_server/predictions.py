"""Turn scores into labelled predictions, best first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import InvalidParameter, ServingError
from model_catalog.spec import ModelSpec

Scores = NDArray[np.float64]

DEFAULT_TOP_K = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class and how much the model believes in it."""

    class_id: str
    label: str
    score: float


def read_scores(rows: object, *, count: int, classes: int) -> list[Scores]:
    """Check what Serving answered: ``count`` rows of ``classes`` finite numbers each."""
    if not isinstance(rows, list) or len(rows) != count:
        raise ServingError(f"Serving did not answer with a list of {count} predictions.")
    return [_row(row, classes) for row in rows]


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


def rank(scores: Scores, spec: ModelSpec, top_k: int) -> list[Prediction]:
    """Return the ``top_k`` best classes, best first; equal scores keep the classes' order.

    Scores of a model without activation (logits) become probabilities by softmax.
    """
    values = softmax(scores) if spec.output.activation == "none" else scores
    best = np.argsort(-values, kind="stable")[:top_k]
    return [_prediction(spec, index, float(values[index])) for index in best.tolist()]


def _prediction(spec: ModelSpec, index: int, score: float) -> Prediction:
    class_id, label = spec.labels[index]
    return Prediction(class_id, label, score)


def checked_top_k(top_k: int | None, spec: ModelSpec) -> int:
    """Return how many classes to answer: the wish, or five where the model has as many."""
    classes = spec.output.classes
    if top_k is None:
        return min(DEFAULT_TOP_K, classes)
    if not 1 <= top_k <= classes:
        raise InvalidParameter(f"top_k is {top_k}; allowed is 1 to {classes}, the model's classes.")
    return top_k


def softmax(scores: Scores) -> Scores:
    """Turn logits into probabilities that add up to 1; a single logit into its sigmoid."""
    if scores.size == 1:
        return np.asarray((1 + np.tanh(scores / 2)) / 2)
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())
