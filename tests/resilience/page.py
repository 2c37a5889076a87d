"""Parts that all results in docs/reliability.md have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks import machine


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def measured(command: str) -> str:
    """Return the sentence that says how, when and where the results were measured."""
    facts = machine.describe()
    return (
        f"\nMeasured with `{command}` on {machine.now()}, {facts['processor']},"
        f" {facts['cores']} cores, load average {machine.load_average():.0f} at the end, commit"
        f" {facts['commit']}.\n"
    )
