"""Rank the classes of a model by score (top-k). Pure.

Values of a model that is no classifier (activation ``raw``) are not ranked: they keep the order of
the model's outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import InvalidParameter, ServingError
from flask_server.serving.scores import Scores
from flask_server.serving.top_k import ReturnedClasses
from model_catalog.errors import shown
from model_catalog.spec import Label, ModelSpec

#: Number of predictions for a request with neither ``top_k`` nor ``labels``.
DEFAULT_TOP_K = 5


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class and its score."""

    class_id: str
    label: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RankingOptions:
    """Which of the classes a request asks for; not checked against a model yet."""

    top_k: int | None = None
    """Maximum number of predictions; None means five, or all of ``labels`` if those are given, and
    all of a model with activation ``raw``."""

    threshold: float | None = None
    """Minimum score of a prediction; None means no minimum, so that negative scores count."""

    labels: Sequence[str] | None = None
    """Class ids or labels to rank; None means all classes."""


DEFAULT_OPTIONS = RankingOptions()


@dataclass(frozen=True, slots=True)
class Selection:
    """Ranking options, checked and resolved to the classes of a model."""

    top_k: int
    threshold: float
    classes: NDArray[np.intp]
    """Indices of the classes to rank, ascending."""


def resolve(options: RankingOptions, spec: ModelSpec) -> Selection:
    """Return the options with this model's class indices, or raise InvalidParameter."""
    classes = (
        np.arange(spec.output.classes)
        if options.labels is None
        else np.array(class_indices(options.labels, spec.labels), np.intp)
    )
    is_short = options.labels is None and spec.output.activation != "raw"
    default = DEFAULT_TOP_K if is_short else len(classes)
    top_k = min(default, len(classes)) if options.top_k is None else options.top_k
    if not 1 <= top_k <= spec.output.classes:
        raise InvalidParameter(
            f"top_k is {top_k}; allowed is 1 to {spec.output.classes}, the number of classes."
        )
    return Selection(top_k, _least_score(options.threshold), classes)


def _least_score(threshold: float | None) -> float:
    """Return the least score that reaches a threshold.

    Models compute in float32, in which 0.9 is less than the 0.9 of a request.
    """
    if threshold is None:
        return -np.inf
    with np.errstate(over="ignore"):
        return min(threshold, float(np.float32(threshold)))


@dataclass(frozen=True, slots=True)
class ReturnedSelection:
    """Ranking options, checked for a model that returns its best classes itself."""

    top_k: int
    threshold: float

    labels: frozenset[str] | None
    """Class ids and labels that are asked for; None means all."""

    known: Mapping[str, Label]
    """The labels of the models file by their id and by their text."""


def resolve_returned(options: RankingOptions, spec: ModelSpec) -> ReturnedSelection:
    """Return the options for a model whose graph returns ``spec.output.top_k`` classes.

    Raises InvalidParameter. Labels are checked only if the models file has some: otherwise nobody
    knows them before the call.
    """
    most = spec.output.top_k or 0
    if spec.labels and options.labels is not None:
        class_indices(options.labels, spec.labels)
    default = DEFAULT_TOP_K if options.labels is None else most
    top_k = min(default, most) if options.top_k is None else options.top_k
    if not 1 <= top_k <= most:
        raise InvalidParameter(
            f"top_k is {top_k}; allowed is 1 to {most}, the number of classes that the model"
            " returns."
        )
    labels = None if options.labels is None else frozenset(options.labels)
    known = _labels_by_name(spec.labels)
    return ReturnedSelection(top_k, _least_score(options.threshold), labels, known)


def rank_returned(
    found: ReturnedClasses, spec: ModelSpec, selection: ReturnedSelection
) -> list[Prediction]:
    """Return the selected ones of the classes that a graph returned, best first.

    Raises ServingError for an index that has no label.
    """
    order = np.argsort(-found.scores, kind="stable").tolist()
    predictions = (
        Prediction(
            *_label_of(found.classes[place], spec, selection.known), float(found.scores[place])
        )
        for place in order
        if found.scores[place] >= selection.threshold
    )
    wanted = selection.labels
    chosen = (p for p in predictions if wanted is None or {p.class_id, p.label} & wanted)
    return list(islice(chosen, selection.top_k))


def _labels_by_name(labels: Sequence[Label]) -> dict[str, Label]:
    """Return the labels by their text and by their id, which takes precedence."""
    return {pair[1]: pair for pair in reversed(labels)} | {pair[0]: pair for pair in labels}


def _label_of(found: str | int, spec: ModelSpec, known: Mapping[str, Label]) -> Label:
    if isinstance(found, str):
        return known.get(found, (found, found))
    if not spec.labels:
        return str(found), str(found)
    if not 0 <= found < len(spec.labels):
        raise ServingError(
            f"The model returned the class {found}; the models file has labels for 0 to"
            f" {len(spec.labels) - 1}."
        )
    return spec.labels[found]


def rank(scores: Scores, spec: ModelSpec, selection: Selection) -> list[Prediction]:
    """Return the selected classes, best first; equal scores keep the order of the classes.

    Those of a model with activation ``raw`` are all in the order of the classes.
    """
    values = activated(scores, spec)
    if spec.output.activation == "raw":
        above = values[selection.classes] >= selection.threshold
        chosen = selection.classes[above][: selection.top_k]
    else:
        best = selection.classes[_highest(values[selection.classes], selection.top_k)]
        chosen = best[values[best] >= selection.threshold]
    return [_prediction(spec, index, float(values[index])) for index in chosen.tolist()]


def _highest(values: Scores, count: int) -> NDArray[np.intp]:
    """Return the indices of the highest values, best first; equal values keep their order."""
    # Finding the k-th highest value first avoids sorting all the others.
    lowest = np.partition(values, -count)[-count] if count < values.size else -np.inf
    candidates = np.flatnonzero(values >= lowest)
    return candidates[np.argsort(-values[candidates], kind="stable")[:count]]


def activated(scores: Scores, spec: ModelSpec) -> Scores:
    """Return the scores; logits (of a model without activation) become probabilities."""
    return softmax(scores) if spec.output.activation == "none" else scores


def class_indices(wanted: Sequence[str], labels: Sequence[Label]) -> list[int]:
    """Return the indices of these class ids or labels, or raise InvalidParameter."""
    names, known = set(wanted), {name for pair in labels for name in pair}
    for name in wanted:
        if name not in known:
            raise InvalidParameter(
                f"labels has {shown(name)}, which is no class id or label of this model."
            )
    return [index for index, pair in enumerate(labels) if names & set(pair)]


def _prediction(spec: ModelSpec, index: int, score: float) -> Prediction:
    class_id, label = spec.labels[index]
    return Prediction(class_id, label, score)


def softmax(scores: Scores) -> Scores:
    """Return probabilities that add up to 1; for a single logit, its sigmoid."""
    if scores.size == 1:
        return np.asarray((1 + np.tanh(scores / 2)) / 2)
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())
