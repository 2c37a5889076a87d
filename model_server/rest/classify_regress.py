"""Write the bodies of the responses to classify and regress requests. Pure."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from model_server.codec.float_format import decimals
from model_server.codec.json_writer import json_string_of_bytes
from model_server.inference.classify_regress import Classifications


def classify_body(classes: Classifications) -> bytes:
    """Return the body of a classify response."""
    count, width = classes.shape
    texts = _class_texts(classes, count * width)
    rows = (f"[{', '.join(texts[at * width : (at + 1) * width])}]" for at in range(count))
    return f'{{\n    "results": [{", ".join(rows)}\n    ]\n}}'.encode("utf-8", "surrogateescape")


def regress_body(values: NDArray[Any]) -> bytes:
    """Return the body of a regress response: the value of each example."""
    return f'{{\n    "results": [{", ".join(decimals(values))}]\n}}'.encode()


def _class_texts(classes: Classifications, size: int) -> list[str]:
    """Return ``["label", score]`` for each class of each example.

    Without labels each label is empty; without scores each score is 0.0.
    """
    labels, scores = classes.labels, classes.scores
    names = ['""'] * size if labels is None else list(map(json_string_of_bytes, labels.reshape(-1)))
    numbers = ["0.0"] * size if scores is None else decimals(scores.reshape(-1))
    return [f"[{name}, {number}]" for name, number in zip(names, numbers, strict=True)]
