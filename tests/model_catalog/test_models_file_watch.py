"""A changed models file is read once it has settled; a wrong one changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_catalog.models_file import ModelsFile, load_models_file
from model_catalog.models_file_watch import ModelsFileWatch, changes, require_folders_here


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    write(path, "a")
    return path


def write(path: Path, *names: str, extra: str = "") -> None:
    path.write_text("".join(f'[models.{name}]\nbase_path = "{name}"\n' for name in names) + extra)


def settled(watch: ModelsFileWatch) -> bool:
    """Poll until a change would have settled; return whether there was one."""
    changed = [watch.poll() for _ in range(3)]
    return any(changed)


def names(watch: ModelsFileWatch) -> list[str]:
    return [entry.name for entry in watch.models.entries]


def watched(file: Path) -> ModelsFileWatch:
    watch = ModelsFileWatch(load_models_file(file))
    assert not settled(watch)
    return watch


def test_a_change_is_taken_once_the_file_has_stayed_the_same_for_two_polls(file: Path) -> None:
    watch = watched(file)
    write(file, "a", "b")

    assert not watch.poll()
    write(file, "a", "b", "c")
    assert not watch.poll()
    assert watch.poll()

    assert names(watch) == ["a", "b", "c"]
    assert not settled(watch)


def test_a_file_that_changed_before_the_first_poll_is_read(file: Path) -> None:
    models = load_models_file(file)
    write(file, "b")
    watch = ModelsFileWatch(models)

    assert settled(watch)
    assert names(watch) == ["b"]


@pytest.mark.parametrize("text", ["[models.a", "", "[models.a]\nbase_path = 1\n", None])
def test_a_wrong_file_changes_nothing_and_its_problem_is_new_once(
    file: Path, text: str | None
) -> None:
    watch = watched(file)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)

    assert settled(watch)
    assert names(watch) == ["a"]
    assert watch.problem is not None
    assert str(file) in watch.problem
    assert not settled(watch)

    write(file, "a")
    assert settled(watch)
    assert watch.problem is None


def test_a_file_of_the_same_size_and_time_is_read_if_it_is_another_one(file: Path) -> None:
    watch = watched(file)
    found = file.stat()
    draft = file.with_suffix(".draft")
    write(draft, "b")
    os.utime(draft, ns=(found.st_atime_ns, found.st_mtime_ns))
    draft.replace(file)

    assert settled(watch)
    assert names(watch) == ["b"]


def test_a_missing_folder_that_appears_makes_the_file_usable(file: Path) -> None:
    (file.parent / "a").mkdir()
    models = load_models_file(file)
    watch = ModelsFileWatch(models, require_folders_here(models))
    write(file, "a", "b")

    assert settled(watch)
    assert names(watch) == ["a"]
    assert "models.b.base_path" in str(watch.problem)

    (file.parent / "b").mkdir()
    assert settled(watch)
    assert names(watch) == ["a", "b"]


def test_where_the_present_folders_are_on_another_machine_none_is_required(file: Path) -> None:
    require_folders_here(load_models_file(file))(load_models_file(file))


def both(before: str, after: str, folder: Path) -> tuple[ModelsFile, ModelsFile]:
    found = []
    for text in (before, after):
        (folder / "models.toml").write_text(text)
        found.append(load_models_file(folder / "models.toml"))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("", "", []),
        ("versions = [1]", "versions = [1, 2]", ["model a: versions 1, 2"]),
        (
            "version_labels = {s = 1, t = 1}",
            "version_labels = {s = 2, u = 3}",
            ["model a: label s to version 2, label t removed, label u to version 3"],
        ),
        ("", 'activation = "none"', ["model a: another description"]),
        ("", 'logging = { rate = 0.5, prefix = "logs/a" }', ["model a: request logging changed"]),
        (
            "",
            "[models.b]\nbase_path = 'b'",
            ["model b added"],
        ),
        ("[models.b]\nbase_path = 'b'", "", ["model b removed"]),
        ("", "serving_url = 'http://h:1'", ["model a: serving_url http://h:1"]),
        ("", "split = { a = 95, b = 5 }", ["model a: split a=95 b=5"]),
        ("shadow = { b = 0.5 }", "", ["model a: shadow removed"]),
    ],
)
def test_changes_are_told_by_model(
    before: str, after: str, told: list[str], tmp_path: Path
) -> None:
    head = "[models.a]\nbase_path = 'a'\n"

    assert list(changes(*both(head + before, head + after, tmp_path))) == told


def test_another_default_model_is_told(tmp_path: Path) -> None:
    a, b = ("[models.a]\nbase_path = 'a'\n", "[models.b]\nbase_path = 'b'\n")

    assert list(changes(*both(a + b, b + a, tmp_path))) == ["b is the default model"]
