"""Read label files: plain text, ``id<TAB>label`` lines or Keras's class-index JSON.

The labels are returned in the order of the scores. A ``LabelsError`` names the line or key that is
wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from model_catalog.errors import LabelsError, SpecError
from model_catalog.spec import Label, label_pairs

IMAGENET = "imagenet"

#: The first of the 1,001 classes of ImageNet models from TensorFlow's own collections.
BACKGROUND: Label = ("background", "background")

_IMAGENET_FILE = resources.files("model_catalog") / "data" / "imagenet_class_index.json"


@cache
def imagenet_labels() -> tuple[Label, ...]:
    """Return the 1000 ImageNet classes in Keras's order and spelling."""
    return label_pairs(json.loads(_IMAGENET_FILE.read_text(encoding="utf-8")))


def numbered_labels(classes: int) -> tuple[Label, ...]:
    """Return labels for a model without label file: each index is both id and label."""
    return tuple((str(index), str(index)) for index in range(classes))


def score_counts(labels: Sequence[Label]) -> tuple[int, ...]:
    """Return how many scores per image a model with these labels may have, likeliest first.

    A model of the 1,000 ImageNet classes may have the background as another class before them. A
    model of two classes may have a single score, that of the second class.
    """
    count = len(labels)
    if labels == imagenet_labels():
        return count, count + 1
    return (2, 1) if count == 2 else (count,)


def labels_for(labels: tuple[Label, ...], scores: int) -> tuple[Label, ...]:
    """Return the labels for that many scores; those of 1,001 begin with ``background``."""
    has_background = scores == len(labels) + 1 and scores in score_counts(labels)
    return (BACKGROUND, *labels) if has_background else labels


def read_labels(path: Path) -> tuple[Label, ...]:
    """Read a label file, UTF-8: one ``label`` or ``id<TAB>label`` per line, or class-index JSON."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelsError(f"The label file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"The label file {path} is not UTF-8 text: {error}.") from error
    try:
        return parse_labels(text)
    except LabelsError as error:
        raise LabelsError(f"{path}: {error}") from error


def parse_labels(text: str) -> tuple[Label, ...]:
    """Parse the text of a label file into (id, label) pairs; the index is the id by default."""
    if text.lstrip().startswith(("{", "[")):
        return _parse_json(text)
    lines = text.removesuffix("\n").split("\n") if text else []
    labels = tuple(_parse_line(index, line.rstrip("\r")) for index, line in enumerate(lines))
    if not labels:
        raise LabelsError("The label file is empty; it needs one label per line.")
    return labels


def _parse_line(index: int, line: str) -> Label:
    if not line.strip():
        raise LabelsError(f"Line {index + 1} is blank; every class needs a label.")
    class_id, tab, label = line.partition("\t")
    return (class_id.strip(), label.strip()) if tab else (str(index), line.strip())


def _parse_json(text: str) -> tuple[Label, ...]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise LabelsError(f"Not JSON: {error}") from error
    if isinstance(document, dict):
        document = _in_order(document)
    try:
        return label_pairs(document)
    except SpecError as error:
        raise LabelsError(str(error)) from error


def _in_order(index: dict[str, object]) -> list[object]:
    missing = next((i for i in range(len(index)) if str(i) not in index), None)
    if missing is not None:
        raise LabelsError(
            f'Key "{missing}" is missing; the keys of a class index are "0", "1", "2" and so on.'
        )
    return [index[str(i)] for i in range(len(index))]
