"""Compare the output of a command with the one that a manual shows.

Times, durations, process ids, paths and ids differ between two runs, numbers with a point a little.
``…`` in the manual stands for any text, and a line of it for any number of lines.
"""

from __future__ import annotations

import json
import re
from itertools import zip_longest
from typing import Any

#: Absolute, for scores that another processor rounds otherwise.
TOLERANCE = 0.005
#: A line of a manual that stands for lines that are left out.
ANY = "…"

_VARIES = [
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b[\d.]+ (ms|s)\b"), r"N \1"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "ID"),
    (re.compile(r"(?<![\w.:/])/[\w./-]*/"), "PATH/"),
    (re.compile(r"\d+ for Serving, \d+ gateway process"), "N for Serving, N gateway process"),
]
#: What TensorFlow's libraries log on stderr; the manuals leave it out.
_LOGGED = re.compile(r"[IWE]\d{4} \d\d:\d\d:|WARNING: All log messages before absl")
_FLOAT = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")


def differences(shown: str, printed: str) -> list[str]:
    """Return the lines in which an output is not the one that is shown."""
    documents = [_document(text) for text in (shown, printed)]
    if None not in documents:
        return [] if alike(*documents) else [f"{shown.strip()} != {printed.strip()}"]
    return _differences(lines(shown), lines(printed))


def _document(text: str) -> Any:
    """Return the JSON document that a text is, None for another text."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _differences(shown: list[str], printed: list[str]) -> list[str]:
    if ANY in shown:
        end = shown.index(ANY)
        rest = len(shown) - end - 1
        after = _differences(shown[end + 1 :], printed[max(end, len(printed) - rest) :])
        return _differences(shown[:end], printed[:end]) + after
    pairs = zip_longest(shown, printed, fillvalue="(nothing)")
    return [f"{left!r} != {right!r}" for left, right in pairs if not same_line(left, right)]


def lines(text: str) -> list[str]:
    """Return the lines with letters for what varies, without logs of TensorFlow."""
    for pattern, letters in _VARIES:
        text = pattern.sub(letters, text)
    return [line.rstrip() for line in text.strip().splitlines() if not _LOGGED.match(line)]


def same_line(shown: str, printed: str) -> bool:
    """Compare two lines, numbers with a point within the tolerance."""
    pattern = re.escape(" ".join(_FLOAT.sub("0.0", shown).split())).replace("…", ".*")
    if not re.fullmatch(pattern, " ".join(_FLOAT.sub("0.0", printed).split())):
        return False
    numbers = [map(float, _FLOAT.findall(line)) for line in (shown, printed)]
    return all(abs(a - b) <= TOLERANCE for a, b in zip(*numbers, strict=False))


def alike(shown: Any, printed: Any) -> bool:
    """Compare two JSON documents, floats within the tolerance."""
    if isinstance(shown, float) and isinstance(printed, int | float):
        return abs(shown - printed) <= TOLERANCE
    if isinstance(shown, str) and isinstance(printed, str):
        return not _differences(lines(shown), lines(printed))
    if isinstance(shown, dict) and isinstance(printed, dict):
        return shown.keys() == printed.keys() and all(alike(shown[k], printed[k]) for k in shown)
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(alike, shown, printed))
    return bool(shown == printed)
