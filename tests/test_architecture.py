"""The table "To change X, go to Y" of the architecture page names symbols that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
ROW = re.compile(r"^\| (.+) \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)


def rows(text: str) -> list[tuple[str, str, str]]:
    """The rows of the table: subject, file and symbol."""
    _, _, table = text.partition("\n## To change X, go to Y\n")
    return ROW.findall(table.partition("\n## ")[0])


def defined(path: Path) -> set[str]:
    """The names of functions, classes, variables and attributes that a module defines."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


TABLE = rows(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("subject", "file", "symbol"), TABLE, ids=[row[0] for row in TABLE])
def test_the_file_of_a_row_defines_its_symbol(subject: str, file: str, symbol: str) -> None:
    assert (ROOT / file).is_file(), f"{subject}: there is no file {file}"
    assert symbol in defined(ROOT / file), f"{subject}: {file} defines no {symbol}"


def test_the_table_has_at_least_25_rows_and_each_subject_once() -> None:
    assert len(TABLE) >= 25
    assert len({subject for subject, _, _ in TABLE}) == len(TABLE)


def test_every_line_of_the_table_is_read() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("\n## To change X, go to Y\n")[2]

    assert table.count("\n|") - len(["head", "rule"]) == len(TABLE)


def test_imports_and_uses_of_a_name_do_not_define_it(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("from a import b\nc: int = b\ndef d() -> None:\n    e(c)\n")

    assert defined(module) == {"c", "d"}


def test_the_page_stays_short() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 140
