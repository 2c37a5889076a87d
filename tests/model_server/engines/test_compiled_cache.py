"""Compiled models are kept per content, and swept when nobody can use them any more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model_catalog import quantization
from model_server.engines import compiled_cache
from tests.resource_limits import full_disk, needs_prlimit

DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def version(path: Path, weights: str = "one") -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_text("graph")
    (path / "variables" / "variables.index").write_text(weights)
    (path / DATA).write_text(weights)
    return path


def compiled(cache: Path, path: Path) -> Path:
    """Do what an engine does: take the entry, put something in, sweep."""
    entry = compiled_cache.folder_for(cache, path)
    (entry / "blob").touch()
    compiled_cache.remove_outdated(cache, entry)
    return entry


def test_the_same_version_finds_its_entry_again(cache: Path, tmp_path: Path) -> None:
    path = version(tmp_path / "1")

    first, second = compiled(cache, path), compiled(cache, path)

    assert first == second
    assert (second / "blob").exists()


@needs_prlimit
def test_an_entry_that_a_full_disk_has_cut_off_is_completed(cache: Path, tmp_path: Path) -> None:
    path = version(tmp_path / "1")
    with full_disk(size=1), pytest.raises(OSError, match="File too large"):
        compiled_cache.folder_for(cache, path)

    first, second = compiled(cache, path), compiled(cache, path)

    assert first == second
    assert (second / "blob").exists()


INT8 = [str(quantization.GRAPH_FILE), str(quantization.WEIGHTS_FILE)]


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index", DATA, *INT8])
def test_another_content_in_the_same_folder_gets_another_entry(
    cache: Path, tmp_path: Path, file: str
) -> None:
    path = version(tmp_path / "1")
    old = compiled(cache, path)
    (path / file).parent.mkdir(parents=True, exist_ok=True)
    (path / file).write_text("another")

    new = compiled(cache, path)

    assert new != old
    assert [entry.name for entry in cache.iterdir()] == [new.name]


def test_versions_that_are_there_keep_their_entries(cache: Path, tmp_path: Path) -> None:
    first, second = version(tmp_path / "1"), version(tmp_path / "2")

    entries = {compiled(cache, first), compiled(cache, second)}

    assert set(cache.iterdir()) == entries
    assert len(entries) == 2


def test_versions_that_are_gone_lose_their_entries(cache: Path, tmp_path: Path) -> None:
    compiled(cache, version(tmp_path / "1"))
    shutil.rmtree(tmp_path / "1")

    second = compiled(cache, version(tmp_path / "2"))

    assert list(cache.iterdir()) == [second]


def test_folders_that_are_no_entries_are_left_alone(cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    (cache / "notes.txt").touch()
    (cache / "folder").mkdir()

    compiled(cache, version(tmp_path / "1"))

    assert {"notes.txt", "folder"} < {path.name for path in cache.iterdir()}


def test_a_folder_that_cannot_be_made_is_an_os_error(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file")

    with pytest.raises(OSError, match="cache"):
        compiled_cache.folder_for(cache, version(tmp_path / "1"))
