"""Write docs/performance_levers.md from levers.csv: ``python -m benchmarks.levers``.

One row of the file is one lever: a change that was tried to make a request cheaper, and its
measured effect.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

DATA = Path(__file__).with_name("levers.csv")
PAGE = Path(__file__).parent.parent / "docs" / "performance_levers.md"
KEPT = ("yes", "no", "setting")

_INTRODUCTION = """\
# Performance levers

<!-- generated from benchmarks/levers.csv by python -m benchmarks.levers -->

A *lever* is one change that was tried to make a request cheaper. *Kept* says whether the code has
it: `yes`, `no`, or `setting` where the operator chooses. [performance.md](performance.md)
summarises what pays.

Percentages and shares of the limit were measured against the code without the lever: both versions
were running and received the load in turns. The number of rounds is in brackets. Percentages
without a noun are throughput. Absolute figures come from separate runs. *The limit* is decoding,
resizing and inference in one process without HTTP
([benchmarks/README.md](../benchmarks/README.md)).

*Instructions* are those of one request in the gateway's worker, counted by callgrind over 100
requests: an 8x8 JPEG, a model for 32x32 pixels with 1000 classes, and a Serving that answers at
once. Decoding and resizing are next to nothing there, so the count is the gateway's own cost. Two
counts of the same code differ by 0.1 %.
"""


@dataclass(frozen=True, slots=True)
class Lever:
    """One row of the file."""

    area: str
    lever: str
    where: str
    """The file that has the lever; empty where no code remained."""

    effect: str
    kept: str
    reason: str


def read(path: Path = DATA) -> list[Lever]:
    """Return the levers in their order; raise ValueError for a row that is not complete."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        expected = [field.name for field in fields(Lever)]
        if rows.fieldnames != expected:
            raise ValueError(f"{path.name} has columns {rows.fieldnames}; expected {expected}.")
        return [_checked(Lever(**row), rows.line_num) for row in rows]


def _checked(lever: Lever, line: int) -> Lever:
    if lever.kept not in KEPT:
        raise ValueError(f"Line {line}: kept is {lever.kept!r}; allowed is {', '.join(KEPT)}.")
    if not (lever.area and lever.lever and lever.effect):
        raise ValueError(f"Line {line}: area, lever and effect must not be empty.")
    return lever


def page(levers: Sequence[Lever]) -> str:
    """Return the page: one table per area, in the order of the file."""
    areas = dict.fromkeys(lever.area for lever in levers)
    return "\n".join(
        [_INTRODUCTION, *(_section(area, [x for x in levers if x.area == area]) for area in areas)]
    )


def _section(area: str, levers: Iterable[Lever]) -> str:
    rows = [
        (lever.lever, f"`{lever.where}`" if lever.where else "", lever.effect, _kept(lever))
        for lever in levers
    ]
    head = [("lever", "where", "measured effect", "kept"), ("---", "---", "---", "---")]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (*head, *rows))
    return f"## {area}\n\n{table}\n"


def _kept(lever: Lever) -> str:
    return f"{lever.kept}: {lever.reason}" if lever.reason else lever.kept


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(read()), encoding="utf-8")


if __name__ == "__main__":
    main()
