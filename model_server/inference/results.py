"""Write the results of signatures that classify or regress into protocol buffers. Pure."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from model_server.inference.classify_regress import Classifications
from serving_api.messages import Message


def fill_classes(result: Message, classes: Classifications) -> None:
    """Fill a ClassificationResult; without labels they are empty, without scores 0."""
    count, width = classes.shape
    result.SetInParent()
    labels = _rows(classes.labels, count, width, b"")
    scores = _rows(classes.scores, count, width, 0.0)
    for row_labels, row_scores in zip(labels, scores, strict=True):
        row = result.classifications.add()
        for label, score in zip(row_labels, row_scores, strict=True):
            row.classes.add(label=label, score=score)


def fill_values(result: Message, values: NDArray[Any]) -> None:
    """Fill a RegressionResult with the value of each example."""
    result.SetInParent()
    for value in values.tolist():
        result.regressions.add(value=value)


def _rows(
    array: NDArray[Any] | None, count: int, width: int, missing: bytes | float
) -> list[list[Any]]:
    return [[missing] * width] * count if array is None else array.tolist()
