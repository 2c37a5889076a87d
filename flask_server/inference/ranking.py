"""Turn scores into labelled predictions, best first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import InvalidParameter
from flask_server.serving.scores import Scores
from model_catalog.errors import shown
from model_catalog.spec import ModelSpec

DEFAULT_TOP_K = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class and how much the model believes in it."""

    class_id: str
    label: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RankingOptions:
    """Which of the classes a caller wants to hear of."""

    top_k: int | None = None
    """How many; None is five, or all of the chosen labels."""

    threshold: float | None = None
    """The least score that counts; None counts all, below zero, too."""

    labels: Sequence[str] | None = None
    """Class ids or labels to choose from; None is all."""


DEFAULT_OPTIONS = RankingOptions()


@dataclass(frozen=True, slots=True)
class Selection:
    """Ranking options that were checked against the classes of a model."""

    top_k: int
    threshold: float
    classes: NDArray[np.intp]
    """Indices of the classes to choose from, ascending."""


def resolve(options: RankingOptions, spec: ModelSpec) -> Selection:
    """Return the options as this model's classes and limits, or raise InvalidParameter."""
    classes = _chosen_classes(options.labels, spec)
    usual = DEFAULT_TOP_K if options.labels is None else len(classes)
    top_k = min(usual, len(classes)) if options.top_k is None else options.top_k
    if not 1 <= top_k <= spec.output.classes:
        raise InvalidParameter(
            f"top_k is {top_k}; allowed is 1 to {spec.output.classes}, the model's classes."
        )
    least = -np.inf if options.threshold is None else options.threshold
    return Selection(top_k, least, classes)


def rank(scores: Scores, spec: ModelSpec, choice: Selection) -> list[Prediction]:
    """Return the chosen classes, best first; equal scores keep the classes' order."""
    values = activated(scores, spec)
    best = choice.classes[_highest(values[choice.classes], choice.top_k)].tolist()
    return [_prediction(spec, i, float(values[i])) for i in best if values[i] >= choice.threshold]


def _highest(values: Scores, count: int) -> NDArray[np.intp]:
    """Return where the highest values are, best first; equal ones keep their order."""
    # Finding the least of them first spares the sorting of all the others.
    least = np.partition(values, -count)[-count] if count < values.size else -np.inf
    candidates = np.flatnonzero(values >= least)
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]


def activated(scores: Scores, spec: ModelSpec) -> Scores:
    """Return the scores; those of a model without activation (logits) become probabilities."""
    return softmax(scores) if spec.output.activation == "none" else scores


def _chosen_classes(labels: Sequence[str] | None, spec: ModelSpec) -> NDArray[np.intp]:
    if labels is None:
        return np.arange(spec.output.classes)
    wanted, known = set(labels), {name for pair in spec.labels for name in pair}
    for label in labels:
        if label not in known:
            raise InvalidParameter(
                f"labels has {shown(label)}, which is no class id or label here."
            )
    return np.array([i for i, pair in enumerate(spec.labels) if wanted & set(pair)], np.intp)


def _prediction(spec: ModelSpec, index: int, score: float) -> Prediction:
    class_id, label = spec.labels[index]
    return Prediction(class_id, label, score)


def softmax(scores: Scores) -> Scores:
    """Turn logits into probabilities that add up to 1; a single logit into its sigmoid."""
    if scores.size == 1:
        return np.asarray((1 + np.tanh(scores / 2)) / 2)
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())
