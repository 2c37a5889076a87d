"""One row per image file: the best classes, or the error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.gateway.pictures import shown_text


@dataclass(frozen=True, slots=True)
class Class:
    """One class of a response."""

    class_id: str
    label: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The result of one image."""

    file: str
    model: str
    version: int | None = None
    """The version that answered; None for an error."""

    predictions: tuple[Class, ...] = ()
    """The best classes, best first."""

    error: str = ""
    """The code of the error; empty where there is none."""

    detail: str = ""
    """The sentence of the error."""


def row_of_answer(file: str, answer: Mapping[str, Any]) -> Row:
    """Return the row of an image that the gateway has classified."""
    return Row(
        file=file,
        model=str(answer["model"]),
        version=int(answer["version"]),
        predictions=classes_of(answer),
    )


def classes_of(answer: Mapping[str, Any]) -> tuple[Class, ...]:
    """Return the classes in a response of the gateway, best first."""
    found = answer["predictions"]
    return tuple(
        Class(shown_text(str(p["class_id"])), shown_text(str(p["label"])), float(p["score"]))
        for p in found
    )


def row_of_error(file: str, model: str, code: str, detail: str) -> Row:
    """Return the row of an image that could not be read or classified."""
    return Row(file=file, model=model, error=shown_text(code), detail=shown_text(detail))


def to_json(row: Row) -> str:
    """Return a row as one line of JSON."""
    return json.dumps(asdict(row), ensure_ascii=False)


def from_json(line: str) -> Row:
    """Read what ``to_json`` wrote; raise ValueError for anything else."""
    try:
        fields = json.loads(line)
        classes = tuple(Class(**each) for each in fields.pop("predictions"))
        return Row(predictions=classes, **fields)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a row of results: {line[:60]!r}") from error


def columns(top_k: int) -> list[str]:
    """Return the names of the columns of a table."""
    ranked = (f"{name}_{rank}" for rank in range(1, top_k + 1) for name in ("label", "id", "score"))
    return ["file", "model", "version", *ranked, "error", "detail"]


def flat(row: Row, top_k: int) -> dict[str, Any]:
    """Return a row as values by column; what a row does not have is None."""
    values: dict[str, Any] = dict.fromkeys(columns(top_k))
    values |= {"file": row.file, "model": row.model, "version": row.version}
    values |= {"error": row.error or None, "detail": row.detail or None}
    for rank, found in enumerate(row.predictions[:top_k], 1):
        values |= {f"label_{rank}": found.label, f"id_{rank}": found.class_id}
        values[f"score_{rank}"] = found.score
    return values


def from_flat(values: Mapping[str, Any]) -> Row:
    """Read what ``flat`` wrote; empty texts stand for None. Raises ValueError."""
    try:
        version = values["version"]
        return Row(
            file=values["file"],
            model=values["model"],
            version=None if version in (None, "") else int(version),
            predictions=tuple(_classes(values)),
            error=values["error"] or "",
            detail=values["detail"] or "",
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a row of results: column {error} is missing or wrong") from error


def _classes(values: Mapping[str, Any]) -> list[Class]:
    found = []
    for rank in range(1, len(values)):
        score = values.get(f"score_{rank}")
        if score in (None, ""):
            break
        label, class_id = values[f"label_{rank}"], values[f"id_{rank}"]
        found.append(Class(class_id or "", label or "", float(score)))
    return found


def in_order(rows: Mapping[str, Row], files: Sequence[str]) -> list[Row]:
    """Return the rows of other files first, then those of these files in their order."""
    asked = set(files)
    others = [row for file, row in rows.items() if file not in asked]
    return others + [rows[file] for file in files if file in rows]
