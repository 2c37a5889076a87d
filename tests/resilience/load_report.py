"""Tables and plots of docs/reliability.md about overload, memory and the soak test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.plots import pyplot
from tests.resilience.page import measured, table
from tests.running import ROOT

IMAGES = ROOT / "docs" / "images"
Row = dict[str, Any]

OVERLOAD_COLUMNS = (
    *("rate / capacity", "capacity per s", "requests per s", "right per s", "right / possible"),
    *("refused", "502 or 504", "wrong", "lost", "time to a refusal, p50 and p99 in ms"),
    *("time to a right response, p50 and p99 in ms", "memory grown by, MB", "recovery in s"),
    "sender late, ms",
)
MEMORY_COLUMNS = ("limit in MB", "before in MB", "peak in MB", "requests", "responses")
PROCESS_COLUMNS = (
    *("process", "memory in MB", "grown by, MB", "threads", "grown by", "descriptors"),
    "grown by",
)
LATENCY_COLUMNS = (
    *("gateway's protocol", "requests per s", "requests", "refused or late", "wrong", "lost"),
    *("median latency, last third / first third", "sender late, ms"),
)


def overload(rows: list[Row]) -> str:
    """Return the part about overload, and draw its plot."""
    file = IMAGES / "overload.png"
    plot_overload(rows, file)
    parts = [
        measured("make resilience"),
        f"Processors of the servers: {rows[-1]['processors']}.\n",
        table(OVERLOAD_COLUMNS, map(overload_row, rows)),
        f"![right responses per second and latencies under overload](images/{file.name})\n",
        targets(rows),
    ]
    return "\n".join(parts)


def overload_row(row: Row) -> list[object]:
    """The line of one rate."""
    return [
        f"{row['times']:g}",
        *(f"{row[name]:.0f}" for name in ("capacity", "rate", "goodput")),
        f"{row['goodput_share']:.2f}",
        *(row[name] for name in ("refused", "failed", "wrong", "lost")),
        *(
            " and ".join(f"{each:.0f}" for each in row[name])
            for name in ("refused_ms", "accepted_ms")
        ),
        f"{row['grown_mb']:.0f}",
        f"{row['recovery_s']:.2f}",
        f"{row['lag_ms']:.0f}",
    ]


def targets(rows: list[Row]) -> str:
    """Return a line for each target, with the worst figure."""
    share = min(row["goodput_share"] for row in rows)
    refusal = max(row["refused_ms"][1] for row in rows)
    recovery = max(row["recovery_s"] for row in rows)
    found = (
        (
            "right responses per second",
            "at least 0.9 of the possible ones",
            f"{share:.2f}",
            share >= 0.9,
        ),
        ("99 of 100 refusals", "within 50 ms", f"{refusal:.0f} ms", refusal <= 50),
        ("recovery", "within 2 s", f"{recovery:.2f} s", recovery <= 2),
    )
    lines = [(*texts, "yes" if is_met else "**no**") for *texts, is_met in found]
    return table(("figure", "target", "worst", "met"), lines)


def plot_overload(rows: list[Row], file: Path) -> None:
    """Draw right responses over time, and latencies over the rate."""
    plt = pyplot()
    figure, (over_time, latency) = plt.subplots(1, 2, figsize=(10, 3.6))
    for row in rows:
        share = [count / row["capacity"] for count in row["right_per_s"]]
        over_time.plot(share, label=f"{row['times']:g} times the capacity")
    over_time.set_ylim(bottom=0)
    over_time.set_xlabel("seconds")
    over_time.set_ylabel("right responses / capacity")
    times = [row["times"] for row in rows]
    for name, label in (("accepted_ms", "right"), ("refused_ms", "refused")):
        for at, (percent, style) in enumerate((("p50", "o-"), ("p99", "s--"))):
            values = [row[name][at] or None for row in rows]
            latency.plot(times, values, style, label=f"{label}, {percent}")
    latency.set_yscale("log")
    latency.set_xlabel("rate / capacity")
    latency.set_ylabel("ms")
    for axis in (over_time, latency):
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    _save(figure, file)


def memory(rows: list[Row]) -> str:
    """Return the part about the largest images."""
    lines = [
        [
            *(f"{row[name]:.0f}" for name in ("limit_mb", "before_mb", "peak_mb")),
            row["requests"],
            ", ".join(f"{count} of {status}" for status, count in row["statuses"].items()),
        ]
        for row in rows
    ]
    return f"{measured('make resilience')}\n{table(MEMORY_COLUMNS, lines)}"


def soak(rows: list[Row]) -> str:
    """Return the part about the soak test, and draw its plot."""
    (row,) = rows[-1:]
    file = IMAGES / "soak.png"
    plot_soak(row, file)
    parts = [
        measured("make soak"),
        f"{row['minutes']:g} minutes, warm-up included, and {row['swaps']} version swaps.\n",
        table(PROCESS_COLUMNS, map(process_row, row["processes"])),
        table(LATENCY_COLUMNS, map(latency_row, row["latencies"])),
        f"![memory and latency over time](images/{file.name})\n",
    ]
    return "\n".join(parts)


def process_row(row: Row) -> list[object]:
    """The line of one process."""
    figures = ("resident_mb", "threads", "descriptors")
    values = [(row["last"][name], row["growth"][name]) for name in figures]
    return [
        row["name"],
        *(text for now, grown in values for text in (f"{now:.0f}", f"{grown:.1f}")),
    ]


def latency_row(row: Row) -> list[object]:
    """The line of one gateway."""
    counts = [row[name] for name in ("requests", "failed", "wrong", "lost")]
    rate, drift, lag = f"{row['rate']:.0f}", f"{row['drift']:.2f}", f"{row['lag_ms']:.0f}"
    return [row["protocol"], rate, *counts, drift, lag]


def plot_soak(row: Row, file: Path) -> None:
    """Draw the memory of each process and the latencies over time."""
    plt = pyplot()
    figure, (resident, latency) = plt.subplots(1, 2, figsize=(10, 3.6))
    for process in row["processes"]:
        begin = process["resident_mb"][0][0]
        at, values = zip(*process["resident_mb"], strict=True)
        resident.plot([(each - begin) / 60 for each in at], values, label=process["name"])
    resident.set_ylim(bottom=0)
    resident.set_ylabel("resident MB")
    for gateway in row["latencies"]:
        minutes = [each / 60 for each in gateway["at"]]
        for percent in ("p50", "p99"):
            label = f"{gateway['protocol']}, {percent}"
            latency.plot(minutes, gateway[f"{percent}_ms"], label=label)
    latency.set_yscale("log")
    latency.set_ylabel("ms")
    for axis in (resident, latency):
        axis.set_xlabel("minutes")
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    from matplotlib.pyplot import close

    figure.tight_layout()
    figure.savefig(file, dpi=80)
    close(figure)
