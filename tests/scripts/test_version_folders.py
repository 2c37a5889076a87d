"""Versions are published atomically under the next free number."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.errors import ScriptError
from scripts.version_folders import new_version, newest_version, versions


def publish(base_path: Path, content: str = "model") -> Path:
    with new_version(base_path) as draft:
        (draft.folder / "file").write_text(content, encoding="utf-8")
    return draft.published


def test_the_first_version_is_one_and_the_base_path_is_made(tmp_path: Path) -> None:
    assert publish(tmp_path / "new" / "model") == tmp_path / "new" / "model" / "1"


def test_the_next_version_follows_the_biggest_number_and_not_the_gaps(tmp_path: Path) -> None:
    (tmp_path / "9").mkdir()
    (tmp_path / "10").mkdir()

    assert publish(tmp_path).name == "11"


@pytest.mark.parametrize("name", ["0005", "5"])
def test_whatever_a_server_takes_for_a_version_counts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a file", encoding="utf-8")

    assert publish(tmp_path).name == "6"


@pytest.mark.parametrize("name", ["README.md", "2.old", "-3", ".draft-7", "v8"])
def test_other_names_are_no_versions(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    assert versions(tmp_path) == []


def test_a_missing_base_path_has_no_versions(tmp_path: Path) -> None:
    assert newest_version(tmp_path / "nowhere") == 0


def test_an_existing_version_is_never_written_to(tmp_path: Path) -> None:
    first = publish(tmp_path, "old")

    second = publish(tmp_path, "new")

    assert (first / "file").read_text(encoding="utf-8") == "old"
    assert second.name == "2"


def test_a_failed_block_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_version(tmp_path) as draft:
        (draft.folder / "half").write_text("…", encoding="utf-8")
        raise RuntimeError

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("age_s", "kept"), [(86_300, True), (86_500, False)])
def test_a_draft_of_a_killed_process_is_removed_after_a_day(
    tmp_path: Path, age_s: float, kept: bool
) -> None:
    draft = tmp_path / ".draft-of-somebody"
    draft.mkdir()
    (draft / "half").touch()
    os.utime(draft, (time.time() - age_s,) * 2)

    publish(tmp_path)

    assert draft.exists() is kept


def test_no_server_takes_the_draft_for_a_version(tmp_path: Path) -> None:
    with new_version(tmp_path) as draft:
        (draft.folder / "half").write_text("…", encoding="utf-8")

        assert versions(tmp_path) == []


def test_a_number_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    with new_version(tmp_path) as slow:
        (slow.folder / "file").write_text("slow", encoding="utf-8")
        quick = publish(tmp_path, "quick")

    assert (quick.name, slow.published.name) == ("1", "2")
    assert (quick / "file").read_text(encoding="utf-8") == "quick"


def test_many_publishers_at_once_get_a_number_each(tmp_path: Path) -> None:
    contents = [str(number) for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda content: publish(tmp_path, content), contents))

    assert versions(tmp_path) == list(range(1, 41))
    assert [(path / "file").read_text(encoding="utf-8") for path in published] == contents


def test_no_version_follows_the_highest_one(tmp_path: Path) -> None:
    (tmp_path / str(2**63 - 1)).mkdir()

    with pytest.raises(ScriptError, match="no further version"):
        publish(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [str(2**63 - 1)]


def test_the_published_folder_can_be_read_by_others(tmp_path: Path) -> None:
    expected = tmp_path / "plain"
    expected.mkdir()

    assert publish(tmp_path).stat().st_mode == expected.stat().st_mode
