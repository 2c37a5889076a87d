"""Recognise graphs that return their best classes themselves (top-k). Pure.

Such a graph has an output with classes, which are names or indices, and one with as many scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

#: The tasks of models that may return their best classes.
TOP_K_TASKS: Final = ("classification", "multilabel")

#: Usual names of the outputs, the more specific ones first; TensorFlow's Estimators use some.
CLASS_NAMES: Final = ("all_classes", "classes", "labels", "class_names", "class", "label")
INDEX_NAMES: Final = ("indices", "class_ids", "class_indices", *CLASS_NAMES)
SCORE_NAMES: Final = ("scores", "probabilities", "confidences", "values", "score", "probability")
_PREFIXES: Final = ("top_k_", "topk_", "top_")
#: TensorFlow Serving writes strings as base64 where the name of the output ends like this.
_BINARY: Final = "_bytes"

_ROW_RANK: Final = 2


class Kind(Enum):
    """What the values of an output are."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a signature."""

    name: str
    kind: Kind

    shape: tuple[int | None, ...] | None
    """None where the number of dimensions or a size is not known."""


@dataclass(frozen=True, slots=True)
class TopK:
    """The outputs of a graph that returns its best classes."""

    classes: str
    scores: str

    count: int | None
    """The declared number of classes per image; None if the signature leaves it open."""


def find_top_k(
    outputs: Sequence[Output],
    classes: str | None = None,
    scores: str | None = None,
    *,
    has_rows: bool = True,
) -> TopK | None:
    """Return the outputs with classes and scores, or None if there are none.

    ``classes`` and ``scores`` are the names in the models file; a name of the scores alone means
    that the outputs are the scores of all classes. ``has_rows`` tells whether the first dimension
    counts images. Without names, integers need a declared size above 1: a graph may return the
    index of the best class beside the scores of all.
    """
    if classes is None and scores is not None:
        return None
    for candidate in _class_outputs(outputs, classes):
        for found in _score_outputs(outputs, scores, is_told=classes is not None):
            if found is not candidate and _are_pairs(candidate, found):
                count = _count(candidate, found, has_rows=has_rows)
                if classes or candidate.kind is Kind.STRING or (count or 0) > 1:
                    return TopK(candidate.name, found.name, count)
    return None


def _class_outputs(outputs: Sequence[Output], classes: str | None) -> Iterator[Output]:
    if classes is None:
        yield from _named(outputs, Kind.STRING, CLASS_NAMES)
        yield from _named(outputs, Kind.INTEGER, INDEX_NAMES)
        return
    kinds = (Kind.STRING, Kind.INTEGER)
    yield from (one for one in outputs if one.name == classes and one.kind in kinds)


def _score_outputs(
    outputs: Sequence[Output], scores: str | None, *, is_told: bool
) -> Iterator[Output]:
    """Yield outputs of numbers; without any name, only those with a usual name."""
    if scores is not None:
        kinds = (Kind.FLOAT, Kind.INTEGER)
        yield from (one for one in outputs if one.name == scores and one.kind in kinds)
        return
    yield from _named(outputs, Kind.FLOAT, SCORE_NAMES)
    floats = [one for one in outputs if one.kind is Kind.FLOAT]
    if is_told and len(floats) == 1:
        yield floats[0]


def _named(outputs: Sequence[Output], kind: Kind, names: Iterable[str]) -> Iterator[Output]:
    for name in names:
        yield from (one for one in outputs if one.kind is kind and _plain(one.name) == name)


def _plain(name: str) -> str:
    """Return the name in lower case, without prefix and suffix."""
    plain = name.lower().removesuffix(_BINARY)
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain


def _are_pairs(classes: Output, scores: Output) -> bool:
    """Tell whether both outputs may have the same number of values per image."""
    if classes.shape is None or scores.shape is None:
        return True
    sizes = list(zip(classes.shape, scores.shape, strict=False))
    has_rank = len(classes.shape) == len(scores.shape) <= _ROW_RANK
    return has_rank and all(one == other or None in (one, other) for one, other in sizes)


def _count(*outputs: Output, has_rows: bool) -> int | None:
    for output in outputs:
        if output.shape is None:
            continue
        row = output.shape[1:] if has_rows or len(output.shape) == _ROW_RANK else output.shape
        size = row[-1] if row else 1
        if size is not None:
            return size
    return None
