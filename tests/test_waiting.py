"""``eventually`` tells whether something has happened, so a test has to look at its answer."""

from __future__ import annotations

import ast

import pytest

from tests.running import ROOT
from tests.waiting import eventually


def test_a_condition_that_becomes_true_is_told() -> None:
    answers = iter([False, False, True])

    assert eventually(lambda: next(answers))


def test_a_condition_is_checked_although_there_is_no_time() -> None:
    assert eventually(lambda: True, 0)
    assert not eventually(lambda: False, 0)


def ignored(source: str) -> list[int]:
    """Return the lines of calls whose answer nobody looks at."""
    found = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr))
    return [
        call.lineno
        for call in found
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == eventually.__name__
    ]


@pytest.mark.parametrize(
    ("source", "lines"),
    [("eventually(a)", [1]), ("assert eventually(a)", []), ("b = eventually(a)\nc(d)", [])],
)
def test_a_call_whose_answer_is_ignored_is_found(source: str, lines: list[int]) -> None:
    assert ignored(source) == lines


def test_no_answer_is_ignored() -> None:
    texts = {path: path.read_text() for path in ROOT.glob("tests/**/*.py")}
    candidates = {path: text for path, text in texts.items() if "  eventually(" in text}

    assert {path: lines for path, text in candidates.items() if (lines := ignored(text))} == {}
