from __future__ import annotations

import ast
from pathlib import Path, PurePath

import pytest

from release.python_source import (
    circles,
    import_graph,
    imports,
    module_name,
    mutual_packages,
    read,
    source_of,
)


def test_imports_count_wherever_they_stand() -> None:
    text = """
        import a.b, c
        def function():
            from d import e, f
        if True:
            from g.h import *
    """
    tree = ast.parse("if True:" + text)

    assert set(imports(tree)) == {"a.b", "c", "d", "d.e", "d.f", "g.h", "g.h.*"}


def test_a_relative_import_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Line 2 has a relative import\.$"):
        list(imports(ast.parse("import a\nfrom . import b")))


def test_the_room_of_a_file_is_its_first_folder_or_itself() -> None:
    nested, single = source_of("a/b/c.py", ""), source_of("run.py", "")

    assert (nested.module, nested.room) == ("a.b.c", "a")
    assert (single.module, single.room) == ("run", "run.py")
    assert module_name(PurePath("a/x.conf.py")) == "a.x.conf"


@pytest.mark.parametrize(
    ("text", "has_code"), [("", False), ('"""Text."""\n', False), ("A = 1", True), ("'a'; 1", True)]
)
def test_a_docstring_alone_is_no_code(text: str, has_code: bool) -> None:
    assert source_of("a.py", text).has_code is has_code


def test_files_that_are_missing_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("A = 'é'\n", encoding="utf-8")

    (source,) = read(tmp_path, ["a.py", "removed.py"])
    assert (source.path, source.lines) == ("a.py", 1)


def test_circles_are_found_over_any_number_of_modules() -> None:
    graph = import_graph(
        {
            "a": {"b", "sys", "a"},
            "b": {"c"},
            "c": {"a", "d"},
            "d": set(),
            "e": {"f", "a"},
            "f": {"e"},
        }
    )

    assert graph["a"] == {"b"}
    assert circles(graph) == [["a", "b", "c"], ["e", "f"]]
    assert circles(import_graph({"a": {"b"}, "b": {"c"}, "c": set()})) == []


def test_packages_that_import_each_other_are_found_without_a_circle_of_modules() -> None:
    graph = import_graph(
        {
            "room.x.one": {"room.y.one"},
            "room.y.one": set(),
            "room.y.two": {"room.x.two", "room.top"},
            "room.x.two": {"room.x.one"},
            "room.top": {"room.x.one"},
        }
    )

    assert circles(graph) == []
    assert mutual_packages(graph) == [("room.x", "room.y")]
