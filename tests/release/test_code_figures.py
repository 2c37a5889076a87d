from __future__ import annotations

from itertools import pairwise

import pytest

from release.code_figures import TARGETS, by_room, has_targets, table, tracked, verdicts
from release.commands import ROOT, ReleaseError
from release.python_source import read, source_of
from release.source_figures import Figures, measure


def figures(**texts: str) -> Figures:
    """Return the figures of modules of the room ``a``."""
    return measure(source_of(f"a/{name}.py", text) for name, text in texts.items())


def test_tests_are_the_last_room() -> None:
    sources = [source_of(path, "A = 1") for path in ("tests/t.py", "run.py", "b/m.py", "a/m.py")]

    assert [room for room, _ in by_room(sources)] == ["a", "b", "run.py", "tests"]


def test_the_table_has_columns_of_one_width() -> None:
    head, line = table({"a": figures(m="A = 1")}).splitlines()

    assert head.split()[0] == "modules"
    assert line.split()[:2] == ["a", "1"]
    assert len(line) == len(head)


def test_a_missed_target_is_told_with_its_places() -> None:
    long = '"""A module."""\ndef f():\n' + "    pass\n" * 60
    found = figures(m=long, n='"""Another."""\nimport a.o\n', o="import a.n\n")
    told = {" ".join(line.split()): place for line, place in pairwise(verdicts(found))}

    assert told["lines of a function, maximum 61 target: at most 50 MISSED"] == (
        "  a/m.py:2 f: 61 lines"
    )
    assert told["import circles between modules 1 target: at most 0 MISSED"] == "  a.n, a.o"
    assert "lines of a module, maximum 62 target: at most 400 met" in told


def test_only_the_first_places_are_told() -> None:
    functions = "".join(f"def f{n}(): ...\n" for n in range(12))
    (line, *places) = list(verdicts(figures(m=functions)))[-12:]

    assert line.split()[-1] == "MISSED"
    assert (len(places), places[-1]) == (11, "  and 3 others")


def test_figures_on_a_bound_meet_the_target() -> None:
    least, most = TARGETS[-1], TARGETS[1]
    lines = "\n" * 399

    assert least.is_met(figures(m='"""A module."""\n1\n'))
    assert not least.is_met(figures(m="1\n"))
    assert most.is_met(figures(m=f"1{lines}\n"))
    assert not most.is_met(figures(m=f"1{lines}\n\n"))


def test_the_project_keeps_its_targets() -> None:
    try:
        paths = tracked()
    except ReleaseError as error:
        pytest.skip(f"the files of the commit are not known: {error}")
    found = measure(read(ROOT, filter(has_targets, paths)))

    missed = [target.text for target in TARGETS if not target.is_met(found)]
    assert missed == [], "\n".join(verdicts(found))
