"""``make figures``: measure the Python files of the project, and compare them with targets.

A room is a folder of the top level. Only files that git tracks are read. Modules without code,
such as most ``__init__.py``, are left out. The exit code is 1 if a target is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePath
from typing import Final

from release.commands import ROOT, ReleaseError, output
from release.python_source import Source, read
from release.source_figures import Figures, measure, percentile

#: What has no targets: test cases are long lists of steps, and examples are texts to copy.
WITHOUT_TARGETS: Final = frozenset({"tests", "examples"})
#: Maximum number of places that are told for a missed target.
_MOST_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure of the project keeps."""

    text: str
    figure: Callable[[Figures], float]
    bound: float
    offenders: Callable[[Figures], Iterable[str]]
    """The places that miss it, the worst first."""

    at_least: bool = False
    """Whether the figure must not be below the bound, rather than above it."""

    form: str = "g"
    """The format of the figure and of the bound."""

    def is_met(self, figures: Figures) -> bool:
        """Tell whether the figure keeps the bound."""
        figure = self.figure(figures)
        return figure >= self.bound if self.at_least else figure <= self.bound


def _lines(
    text: str, lengths: Callable[[Figures], Mapping[str, int]], share: float, bound: int
) -> Target:
    """Return the target that this share of the lengths is at most the bound."""
    return Target(
        text,
        lambda found: percentile(lengths(found).values(), share),
        bound,
        lambda found: _longer(lengths(found), bound),
    )


#: Medians and 90th percentiles are to be those of code that is read with pleasure. Flask, httpx,
#: Starlette, honcho, MLServer, cog and document-download-api had, when they were measured in 2026,
#: medians of 30 to 257 lines a module and of 5 to 8 lines a function, and 90th percentiles of 19 to
#: 31 lines a function. The maxima are our own; theirs are 328 to 2,019 lines a module and 47 to 333
#: lines a function. The functions that come near are tables, such as the limits of an API.
TARGETS: Final = (
    _lines("lines of a module, median", lambda found: found.modules, 0.5, 100),
    _lines("lines of a module, maximum", lambda found: found.modules, 1, 400),
    _lines("lines of a function, median", lambda found: found.functions, 0.5, 7),
    _lines("lines of a function, 90th percentile", lambda found: found.functions, 0.9, 16),
    _lines("lines of a function, maximum", lambda found: found.functions, 1, 50),
    Target(
        "import circles between modules",
        lambda found: len(found.circles),
        0,
        lambda found: (", ".join(circle) for circle in found.circles),
    ),
    Target(
        "public names with a docstring",
        lambda found: found.documented_share,
        1,
        lambda found: (place for place, told in found.documented.items() if not told),
        at_least=True,
        form=".1%",
    ),
)

#: The columns of the table of rooms.
COLUMNS: Final[Mapping[str, Callable[[Figures], str]]] = {
    "modules": lambda found: str(len(found.modules)),
    "module lines": lambda found: _spread(found.modules.values()),
    "function lines": lambda found: _spread(found.functions.values()),
    "in a folder": lambda found: str(max(found.folders.values(), default=0)),
    "documented": lambda found: f"{found.documented_share:.0%}",
    "circles": lambda found: str(len(found.circles)),
    "mutual": lambda found: str(len(found.mutual_packages)),
    "repeated": lambda found: str(len(found.repeated_names)),
    "ignores": lambda found: str(found.type_ignores),
    "broad": lambda found: str(found.broad_handlers),
}
LEGEND: Final = """\
module lines, function lines: median / 90th percentile / maximum; functions without docstrings
in a folder: modules that lie in one folder, at most
documented: share of the public modules, classes, functions and methods with a docstring
circles: groups of modules that import each other, directly or through others
mutual: pairs of packages that import each other
repeated: public names that several modules of the room define
ignores, broad: comments "type: ignore", and handlers of all exceptions
"""


def main() -> int:
    """Print the figures and the targets; return 1 if one of these is missed."""
    try:
        sources = read(ROOT, tracked())
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    found = measure(source for source in sources if has_targets(source.path))
    rows = {room: measure(group) for room, group in by_room(sources)}
    sys.stdout.write(f"{table(rows | {'all with targets': found})}\n{LEGEND}\n")
    sys.stdout.writelines(f"{line}\n" for line in verdicts(found))
    return int(any(not target.is_met(found) for target in TARGETS))


def tracked() -> list[str]:
    """Return the paths of the Python files that git tracks."""
    return output(["git", "ls-files", "-z", "*.py"]).split("\0")[:-1]


def has_targets(path: str) -> bool:
    """Tell whether the targets are for a file."""
    return PurePath(path).parts[0] not in WITHOUT_TARGETS


def by_room(sources: Iterable[Source]) -> Iterator[tuple[str, list[Source]]]:
    """Yield each room with its files, those without targets last."""
    ordered = sorted(sources, key=lambda each: (not has_targets(each.path), each.room))
    for room, group in groupby(ordered, key=lambda each: each.room):
        yield room, list(group)


def table(rows: Mapping[str, Figures]) -> str:
    """Return a line for each room, in columns."""
    cells = [
        ("", *COLUMNS),
        *((room, *(cell(found) for cell in COLUMNS.values())) for room, found in rows.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join(f"{_line(row, widths)}\n" for row in cells)


def verdicts(found: Figures) -> Iterator[str]:
    """Yield each target with its figure, and the places that miss it."""
    width = max(len(target.text) for target in TARGETS)
    for target in TARGETS:
        figure, bound = (f"{n:{target.form}}" for n in (target.figure(found), target.bound))
        is_met = target.is_met(found)
        word = "at least" if target.at_least else "at most"
        verdict = "met" if is_met else "MISSED"
        yield f"{target.text:{width}}  {figure:>6}  target: {word} {bound}  {verdict}"
        if not is_met:
            yield from (f"  {place}" for place in _first(target.offenders(found)))


def _first(places: Iterable[str]) -> Iterator[str]:
    """Yield the first places, and how many others there are."""
    listed = list(places)
    yield from listed[:_MOST_TOLD]
    if len(listed) > _MOST_TOLD:
        yield f"and {len(listed) - _MOST_TOLD} others"


def _longer(lengths: Mapping[str, int], bound: int) -> list[str]:
    """Return the places that are longer, the longest first."""
    ordered = sorted(lengths.items(), key=lambda item: -item[1])
    return [f"{place}: {lines} lines" for place, lines in ordered if lines > bound]


def _spread(lengths: Iterable[int]) -> str:
    listed = list(lengths)
    return " / ".join(str(percentile(listed, share)) for share in (0.5, 0.9, 1))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells in columns, the name of the room to the left."""
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join((row[0].ljust(widths[0]), *cells[1:]))


if __name__ == "__main__":
    sys.exit(main())
