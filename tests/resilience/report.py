"""Write the results of the long form into docs/reliability.md and its plot.

``python -m tests.resilience.report RESULTS`` reads files of ``tests.resilience.results``;
``make resilience`` runs it.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.plots import pyplot
from tests.resilience import load_report
from tests.resilience.page import measured, table
from tests.running import ROOT

PAGE = ROOT / "docs" / "reliability.md"
PLOT = ROOT / "docs" / "images" / "hot_swap.png"
Row = dict[str, Any]

FAULT_COLUMNS = (
    *("fault", "gateway's protocol", "engines", "right", "problem documents", "wrong"),
    *("lost connections", "slowest response in s", "last failure after the fault in s"),
)
GROWTH_COLUMNS = ("engine", "server", "swaps", "resident MB", "threads", "descriptors")
END_COLUMNS = ("signals", "processes before", "seconds until none was left")
SWAP_COLUMNS = (
    *("engine", "protocol", "swaps", "connections", "requests", "failed", "mixed or wrong"),
    *("p50 in ms", "p99 in ms", "slowest in ms"),
)


def fault_rows(rows: list[Row]) -> Iterator[list[object]]:
    """One line per fault and protocol, with both engines together."""
    rows = sorted(rows, key=lambda row: (row["fault"], row["protocol"]))
    for (fault, protocol), group in groupby(rows, lambda row: (row["fault"], row["protocol"])):
        same = list(group)
        problems: Counter[str] = Counter()
        for row in same:
            problems.update(row["problems"])
        sums = {name: sum(row[name] for row in same) for name in ("right", "wrong", "lost")}
        most = {name: max(row[name] for row in same) for name in ("slowest_s", "recovery_s")}
        told = ", ".join(f"{count} of {status}" for status, count in sorted(problems.items()))
        engines = ", ".join(sorted({row["engine"] for row in same}))
        counts = [sums["right"], told or "none", sums["wrong"], sums["lost"]]
        yield [fault, protocol, engines, *counts, most["slowest_s"], most["recovery_s"]]


def swap_row(row: Row) -> list[object]:
    """The line of one engine and protocol."""
    took = sorted(1000 * latency for _, latency in row["latencies"])
    figures = [f"{took[int(share * (len(took) - 1))]:.1f}" for share in (0.5, 0.99, 1)]
    failed = sum(row["problems"].values()) + row["lost"]
    load = [row["swaps"], row["connections"], len(took)]
    return [row["engine"], row["protocol"], *load, failed, row["wrong"], *figures]


def growth_rows(rows: list[Row]) -> Iterator[list[object]]:
    """One line per engine and server: what it used after the first swaps, and after all."""
    for row in rows:
        if row["table"] == "growth":
            before, after = row["before"], row["after"]
            pairs = [
                f"{before[name]:.0f} → {after[name]:.0f}"
                for name in ("resident_mb", "threads", "descriptors")
            ]
            yield [row["engine"], row["server"], row["swaps"], *pairs]


def plot(rows: list[Row], file: Path) -> None:
    """Draw the latency of every request over time, with a line for each swap."""
    plt = pyplot()
    figure, axes = plt.subplots(len(rows), 1, figsize=(10, 2.4 * len(rows)), squeeze=False)
    for axis, row in zip(axes[:, 0], rows, strict=True):
        at, took = zip(*row["latencies"], strict=True)
        axis.plot(at, [1000 * each for each in took], ".", markersize=1)
        for moment in row["moments"]:
            axis.axvline(moment, color="tab:red", linewidth=0.5, alpha=0.5)
        axis.set_yscale("log")
        axis.set_ylabel("ms")
        axis.set_title(f"{row['engine']}, {row['protocol']}: red lines are swaps", fontsize=9)
    axes[-1, 0].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(file, dpi=70)
    plt.close(figure)


def report(rows: list[Row]) -> str:
    """Return the generated part of the page."""
    swaps = sorted(
        (row for row in rows if row["table"] == "swaps"),
        key=lambda row: (row["engine"], row["protocol"]),
    )
    plot(swaps, PLOT)
    parts = [
        measured("make resilience"),
        f"### Version swaps\n\n{table(SWAP_COLUMNS, map(swap_row, swaps))}",
        f"![latency during version swaps](images/{PLOT.name})\n",
        f"### Growth over version swaps\n\n{table(GROWTH_COLUMNS, growth_rows(rows))}",
    ]
    for name, title in (
        ("link", "Connections to the model server"),
        ("packets", "Packets between gateway and model server"),
        ("folder", "Version folders"),
        ("process", "Processes"),
        ("supervised", "Processes of a supervised instance"),
        ("resource", "Disk, descriptors, memory and clock"),
    ):
        found = fault_rows([row for row in rows if row["table"] == name])
        parts.append(f"### {title}\n\n{table(FAULT_COLUMNS, found)}")
    ends = [
        [row["signals"], row["processes"], row["took_s"]] for row in rows if row["table"] == "end"
    ]
    parts.append(f"### Ends of a supervised instance\n\n{table(END_COLUMNS, ends)}")
    return "\n".join(parts)


#: The generated parts of the page, each with its tables and the function that makes it.
PARTS: dict[str, tuple[tuple[str, ...], Callable[[list[Row]], str]]] = {
    "results": (
        (
            "swaps",
            "growth",
            "link",
            "packets",
            "folder",
            "process",
            "supervised",
            "resource",
            "end",
        ),
        report,
    ),
    "overload": (("overload",), load_report.overload),
    "memory": (("memory",), load_report.memory),
    "soak": (("soak",), load_report.soak),
}


def main(files: Sequence[str]) -> None:
    """Replace those generated parts of the page for which there are results."""
    rows = [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]
    page = PAGE.read_text(encoding="utf-8")
    for name, (tables, make) in PARTS.items():
        own = [row for row in rows if row["table"] in tables]
        if own:
            page = replaced(page, name, make(own))
    PAGE.write_text(page, encoding="utf-8")


def replaced(page: str, part: str, made: str) -> str:
    """Return the page with another content of a generated part."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    pattern = re.compile(f"(?<={begin}).*(?={end})", re.DOTALL)
    return pattern.sub(lambda _: f"{made}\n", page)


if __name__ == "__main__":
    main(sys.argv[1:])
