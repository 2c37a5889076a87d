"""Run classify and regress requests and write the bodies of their responses."""

from __future__ import annotations

from model_server.codec.float_format import decimals
from model_server.codec.json_writer import json_string_of_bytes
from model_server.engines.protocol import LoadedModel
from model_server.inference import classify_regress
from model_server.inference.classify_regress import Classifications


def classify(model: LoadedModel, name: str, examples: list[bytes], *, strict: bool) -> bytes:
    """Return the body of a classify response; ``strict`` checks the signature's method name."""
    classes = classify_regress.classify(model, name, examples, strict=strict)
    count, width = classes.shape
    texts = _class_texts(classes, count * width)
    rows = (f"[{', '.join(texts[at * width : (at + 1) * width])}]" for at in range(count))
    return f'{{\n    "results": [{", ".join(rows)}\n    ]\n}}'.encode("utf-8", "surrogateescape")


def regress(model: LoadedModel, name: str, examples: list[bytes], *, strict: bool) -> bytes:
    """Return the body of a regress response; ``strict`` checks the signature's method name."""
    values = classify_regress.regress(model, name, examples, strict=strict)
    return f'{{\n    "results": [{", ".join(decimals(values))}]\n}}'.encode()


def _class_texts(classes: Classifications, size: int) -> list[str]:
    """Return ``["label", score]`` for each class of each example.

    Without labels each label is empty; without scores each score is 0.0.
    """
    labels, scores = classes.labels, classes.scores
    names = ['""'] * size if labels is None else list(map(json_string_of_bytes, labels.reshape(-1)))
    numbers = ["0.0"] * size if scores is None else decimals(scores.reshape(-1))
    return [f"[{name}, {number}]" for name, number in zip(names, numbers, strict=True)]
