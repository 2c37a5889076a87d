"""models.toml is changed without touching its comments and layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model_catalog.errors import ModelsFileError
from model_catalog.models_file import load_models_file
from scripts.errors import ScriptError
from scripts.versions.models_toml import add_model, set_versions

FILE = """\
# The models of the shop.

[models.a]   # the default
base_path = "a"      # beside this file
versions = [ 1, 2 ]  # both
version_labels = { stable = 1 } # for clients

[models."b.c"]
base_path = 'b'
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(FILE)
    path.chmod(0o640)
    return path


def test_a_model_is_appended_and_the_rest_stays(file: Path) -> None:
    entry = add_model(
        file,
        "new",
        {"base_path": "n", "version_labels": {"s": 3}, "versions": [3], "input": {"scale": "unit"}},
    )

    assert file.read_text() == FILE + (
        '\n[models.new]\nbase_path = "n"\nversion_labels = {s = 3}\nversions = [3]\n'
        'input = {scale = "unit"}\n'
    )
    assert (entry.base_path, entry.versions) == (file.parent / "n", (3,))
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("text", ["", "# empty\n", None])
def test_the_first_model_makes_the_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "models.toml"
    if text is not None:
        path.write_text(text)
    if text == "# empty\n":
        with pytest.raises(ModelsFileError, match="at least one"):
            add_model(path, "a", {"base_path": "a"})
        return

    add_model(path, "a", {"base_path": "a"})

    assert [entry.name for entry in load_models_file(path).entries] == ["a"]


def test_the_first_model_makes_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "models.toml"

    add_model(path, "a", {"base_path": "a"})

    assert [entry.name for entry in load_models_file(path).entries] == ["a"]


@pytest.mark.parametrize(
    ("name", "values", "error"),
    [
        ("a", {"base_path": "x"}, ScriptError),
        ("A", {"base_path": "x"}, ModelsFileError),
        ("-", {"base_path": "x"}, ModelsFileError),
        ("n", {"base_path": "x", "activation": "relu"}, ModelsFileError),
    ],
)
def test_what_is_not_allowed_leaves_the_file_as_it_was(
    file: Path, name: str, values: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        add_model(file, name, values)

    assert file.read_text() == FILE
    assert [path.name for path in file.parent.iterdir()] == ["models.toml"]


def test_versions_and_labels_are_set_in_place(file: Path) -> None:
    assert set_versions(
        file, "a", lambda _: {"versions": (1, 2, 3), "version_labels": {"stable": 2, "next": 3}}
    )

    text = file.read_text()
    assert "[models.a]   # the default" in text
    assert "# for clients" in text
    entry = load_models_file(file).entries[0]
    assert (entry.versions, entry.version_labels) == ((1, 2, 3), {"stable": 2, "next": 3})


def test_a_file_with_a_byte_order_mark_is_changed_too(file: Path) -> None:
    file.write_text(FILE, encoding="utf-8-sig")

    add_model(file, "new", {"base_path": "n"})
    assert set_versions(file, "a", lambda _: {"versions": [2]})

    assert [entry.name for entry in load_models_file(file).entries] == ["a", "b.c", "new"]


def test_what_is_the_same_is_not_written(file: Path) -> None:
    before = file.stat().st_mtime_ns

    same = set_versions(
        file, "a", lambda e: {"versions": e.versions, "version_labels": {"stable": 1}}
    )

    assert not same
    assert file.stat().st_mtime_ns == before
    assert file.read_text() == FILE


def test_keys_are_added_where_there_were_none(file: Path) -> None:
    set_versions(file, "b.c", lambda _: {"versions": (4,), "version_labels": {"stable": 4}})

    entry = load_models_file(file).entries[1]
    assert (entry.versions, entry.version_labels) == ((4,), {"stable": 4})
    assert file.read_text().startswith(FILE.rstrip())


def test_labels_in_a_table_of_their_own_and_dotted_keys_are_changed_too(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(
        '[models.a]\nbase_path = "a"\n[models.a.version_labels]\nstable = 1 # now\nold = 1\n'
        '[models]\nb.base_path = "b"\n'
    )
    for name in "ab":
        set_versions(path, name, lambda _: {"version_labels": {"stable": 2}})

    entries = load_models_file(path).entries
    assert [entry.version_labels for entry in entries] == [{"stable": 2}, {"stable": 2}]
    assert "stable = 2 # now" in path.read_text()


def test_a_model_that_is_not_there_is_told_with_those_that_are(file: Path) -> None:
    with pytest.raises(ScriptError, match=r"has no model 'x'; known are a, b\.c"):
        set_versions(file, "x", lambda _: {})


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)

    add_model(link, "new", {"base_path": "n"})

    assert link.is_symlink()
    assert "[models.new]" in file.read_text()
