"""Read label files: text, JSON, CSV tables, TensorFlow's label maps, or a folder per class.

The labels are returned in the order of the scores. A ``LabelsError`` names the line or key that is
wrong, and a file of another kind.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from model_catalog.errors import LabelsError, SpecError
from model_catalog.label_tables import is_pbtxt, numbered, parse_csv, parse_pbtxt
from model_catalog.spec import Label, label_pairs

IMAGENET = "imagenet"

#: The first of the 1,001 classes of ImageNet models from TensorFlow's own collections.
BACKGROUND: Label = ("background", "background")

#: A line of Teachable Machine, or one like ``0: cat``; not ``0:30`` or ``1,5 l``.
_NUMBERED = re.compile(r"(\d+)(?:\s+|[:,]\s*(?=\D))(\S.*)")

_ALLOWED = (
    "allowed are text with one label per line, JSON, CSV, a label map (pbtxt), or a folder with "
    "one folder per class"
)
#: Kinds of files that hold labels but are not read, by suffix.
_UNREADABLE = {
    ".yaml": "YAML",
    ".yml": "YAML",
    ".toml": "TOML",
    ".xml": "XML",
    ".pkl": "a pickle",
    ".pickle": "a pickle",
    ".npy": "an array of NumPy",
}

_IMAGENET_FILE = resources.files("model_catalog") / "data" / "imagenet_class_index.json"


@cache
def imagenet_labels() -> tuple[Label, ...]:
    """Return the 1000 ImageNet classes in Keras's order and spelling."""
    return label_pairs(json.loads(_IMAGENET_FILE.read_text(encoding="utf-8")))


def numbered_labels(classes: int) -> tuple[Label, ...]:
    """Return labels for a model without label file: each index is both id and label."""
    return numbered(map(str, range(classes)))


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


def read_labels(path: Path, *, fill: bool = False) -> tuple[Label, ...]:
    """Read a label file, UTF-8, or the names of the folders in a folder, as Keras orders them.

    With ``fill``, numbers that a label map leaves out become labels, as detectors need it.
    """
    if os.path.isdir(path):  # Path.is_dir raises where it may not look
        return _class_folders(path)
    suffix = path.suffix.lower()
    if suffix in _UNREADABLE:
        raise LabelsError(f"{path} is {_UNREADABLE[suffix]}, which is not read; {_ALLOWED}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LabelsError(f"The label file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"The label file {path} is not UTF-8 text: {error}.") from error
    try:
        if fill and is_pbtxt(text):
            return parse_pbtxt(text, fill=True)
        return parse_csv(text) if suffix in {".csv", ".tsv"} else parse_labels(text)
    except LabelsError as error:
        raise LabelsError(f"{path}: {error}") from error


def _class_folders(path: Path) -> tuple[Label, ...]:
    try:
        names = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise LabelsError(f"The folder {path} cannot be read: {error.strerror}.") from error
    if not names:
        raise LabelsError(f"The folder {path} has no folders in it, one for each class.")
    return numbered(names)


def parse_labels(text: str) -> tuple[Label, ...]:
    """Parse the text of a label file into (id, label) pairs; the index is the id by default."""
    if is_pbtxt(text):
        return parse_pbtxt(text)
    if text.lstrip().startswith(("{", "[")):
        return _parse_json(text)
    lines = text.rstrip().split("\n") if text.strip() else []
    if not lines:
        raise LabelsError("The label file is empty; it needs one label per line.")
    labels = tuple(_parse_line(index, line.rstrip("\r")) for index, line in enumerate(lines))
    numbered = [_NUMBERED.fullmatch(label) for _, label in labels]
    if all(match and match[1] == str(index) for index, match in enumerate(numbered)):
        # As Teachable Machine writes them, 0 cat, 1 dog, or 0: cat, 1: dog.
        return tuple((match[1], match[2]) for match in numbered if match)
    return labels


def _parse_line(index: int, line: str) -> Label:
    if not line.strip():
        raise LabelsError(f"Line {index + 1} is blank; every class needs a label.")
    class_id, tab, label = line.partition("\t")
    return (class_id.strip(), label.strip()) if tab else (str(index), line.strip())


def _parse_json(text: str) -> tuple[Label, ...]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelsError(f"Not JSON: {error}") from error
    if isinstance(document, dict):
        document = _listed(document)
    if document and isinstance(document, list) and all(isinstance(x, str) for x in document):
        return numbered(document)
    try:
        return label_pairs(document)
    except SpecError as error:
        raise LabelsError(str(error)) from error


def _listed(document: dict[str, object]) -> object:
    """Return the labels, or the pairs of id and label, of a JSON object in their order."""
    for key in ("labels", "names", "class_names", "classes"):
        if isinstance(document.get(key), list):
            return document[key]
    if document and all(type(value) is int for value in document.values()):
        return _by_index(document)
    return _in_order(document)


def _by_index(class_indices: dict[str, object]) -> list[object]:
    """Return the labels of Keras's ``class_indices``, from labels to the indices of scores."""
    labels: dict[object, object] = {index: label for label, index in class_indices.items()}
    missing = next((i for i in range(len(class_indices)) if i not in labels), None)
    if missing is not None:
        raise LabelsError(
            f"No label has the index {missing}; the indices of {len(class_indices)} labels are 0 "
            f"to {len(class_indices) - 1}."
        )
    return [labels[i] for i in range(len(class_indices))]


def _in_order(index: dict[str, object]) -> list[object]:
    missing = next((i for i in range(len(index)) if str(i) not in index), None)
    if missing is not None:
        raise LabelsError(
            f'Key "{missing}" is missing; the keys of a class index are "0", "1", "2" and so on.'
        )
    return [index[str(i)] for i in range(len(index))]
