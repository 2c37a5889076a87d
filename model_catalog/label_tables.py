"""Read labels from CSV tables, and from the label maps of TensorFlow (pbtxt).

Only the standard library is used. A file whose form of labels is ambiguous is refused, and the
message says what is allowed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from model_catalog.errors import LabelsError
from model_catalog.spec import Label

_LABEL_COLUMNS = ("display_name", "label", "class_name", "name", "class", "category")
_INDEX_COLUMNS = ("index", "idx", "class_index", "class_idx", "class_id", "id", "number", "")
#: Highest number of a class for which the numbers before it are filled in.
_MAX_NUMBER = 100_000
_MAX_DIGITS = 18
_PLAIN = "Write one label per line instead, in the order of the scores."

_ITEM = re.compile(r"\b(?:item|entry)\s*(?::\s*)?\{([^{}]*)\}")
_FIELD = re.compile(r"\b(\w+)\s*:\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|([^\s,;]+))")
_ID_FIELDS = ("id", "target_class")
_NAME_FIELDS = ("display_name", "name", "target_class_string")


def parse_csv(text: str) -> tuple[Label, ...]:
    """Parse a table with a column of labels, and perhaps one of the numbers of the classes."""
    dialect = "excel-tab" if "\t" in text.partition("\n")[0] else "excel"
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(map(str.strip, row))]
    except csv.Error as error:
        raise LabelsError(f"Not CSV: {error}.") from error
    if not rows:
        raise LabelsError("The label file is empty; it needs one label per line.")
    header = [cell.strip().lower() for cell in rows[0]]
    named = next((name for name in _LABEL_COLUMNS if name in header), None)
    if named is not None:
        numbered = next((name for name in _INDEX_COLUMNS if name in header), None)
        index = header.index(numbered) if numbered is not None else None
        return _of_columns(rows[1:], header.index(named), index)
    if len(header) == 1:
        return _of_columns(rows, 0, None)
    if len(header) == 2 and _is_number(header[0]) != _is_number(header[1]):
        return _of_columns(rows, *((1, 0) if _is_number(header[0]) else (0, 1)))
    raise LabelsError(
        f"The table has the columns {', '.join(rows[0])}, and none is known to hold the labels. "
        f"{_PLAIN}"
    )


def numbered(labels: Iterable[str]) -> tuple[Label, ...]:
    """Return the labels with their numbers as class ids."""
    return tuple((str(number), label) for number, label in enumerate(labels))


def _of_columns(rows: list[list[str]], label: int, index: int | None) -> tuple[Label, ...]:
    wanted = max(label, index or 0) + 1
    short = next((number for number, row in enumerate(rows, 1) if len(row) < wanted), None)
    if short is not None:
        raise LabelsError(f"Row {short} of the table has fewer than {wanted} columns.")
    labels = [row[label].strip() for row in rows]
    if index is None:
        return numbered(labels)
    return in_order([row[index].strip() for row in rows], labels)


def in_order(numbers: Sequence[str], labels: Sequence[str]) -> tuple[Label, ...]:
    """Return the labels by their numbers, which must go from 0 or from 1 on without a gap."""
    if not all(map(_is_number, numbers)):
        return tuple(zip(numbers, labels, strict=True))
    by_number = {int(number): label for number, label in zip(numbers, labels, strict=True)}
    first = min(by_number, default=0)
    if len(by_number) < len(labels) or first > 1:
        raise LabelsError(
            f"The numbers of the classes do not go from 0 or 1 on once each. {_PLAIN}"
        )
    missing = next((n for n in range(first, first + len(labels)) if n not in by_number), None)
    if missing is not None:
        raise LabelsError(f"The class of the number {missing} is missing. {_PLAIN}")
    return tuple((str(number), by_number[number]) for number in sorted(by_number))


def is_pbtxt(text: str) -> bool:
    """Tell whether the text is a label map in the text form of protobuf."""
    return re.match(r"(?:\s|#.*\n)*(?:item|entry)\s*(?::\s*)?\{", text) is not None


def parse_pbtxt(text: str, *, fill: bool = False) -> tuple[Label, ...]:
    """Parse ``item { id: 1 name: 'cat' }`` and so on; display names take precedence.

    With ``fill``, numbers that are left out, as in the label map of COCO, become labels.
    """
    numbers: list[str] = []
    labels: list[str] = []
    for match in _ITEM.finditer(text):
        fields = {name: _first(values) for name, *values in _FIELD.findall(match[1])}
        number = next((fields[key] for key in _ID_FIELDS if key in fields), None)
        label = next((fields[key] for key in _NAME_FIELDS if key in fields), None)
        if number is None or label is None:
            raise LabelsError(f"Item {len(labels) + 1} of the label map has no id or no name.")
        numbers.append(number)
        labels.append(label)
    return (_filled if fill else in_order)(numbers, labels)


def _filled(numbers: Sequence[str], labels: Sequence[str]) -> tuple[Label, ...]:
    """Return a label for each number from 0 or 1 on; the label of a missing one is the number."""
    by_number = {int(n): label for n, label in zip(numbers, labels, strict=True) if _is_number(n)}
    last = max(by_number, default=0)
    if len(by_number) < len(labels) or last > _MAX_NUMBER:
        return in_order(numbers, labels)
    first = min(1, *by_number) if by_number else 0
    return tuple((str(n), by_number.get(n, str(n))) for n in range(first, last + 1))


def _is_number(text: str) -> bool:
    """Return whether the text may be the number of a class: few digits of ASCII."""
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _first(values: Sequence[str]) -> str:
    text = next(filter(None, values), "")
    return re.sub(r"\\(.)", r"\1", text)
