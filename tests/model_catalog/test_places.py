"""Which folders the commands use: a project's own, or those of the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_catalog.places import find_places, project_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is an empty one; the user's folders lie in another."""
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.chdir(tmp_path)
    return home


def test_the_nearest_models_file_at_or_above_the_current_folder_makes_a_project(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "flowers" / "notes"
    below.mkdir(parents=True)
    (tmp_path / "models.toml").touch()
    (tmp_path / "flowers" / "models.toml").touch()
    monkeypatch.chdir(below)

    places = find_places(ROOT)

    assert places.project == places.models == tmp_path / "flowers"
    assert places.models_file == tmp_path / "flowers" / "models.toml"
    assert places.run == tmp_path / "flowers" / ".run"


def test_a_folder_of_that_name_makes_none(home: Path, tmp_path: Path) -> None:
    (tmp_path / "models.toml").mkdir()

    assert project_folder(tmp_path) is None


def test_elsewhere_the_checkout_is_the_project(home: Path) -> None:
    assert find_places(ROOT).models_file == ROOT / "models.toml"
    assert find_places(ROOT).run == ROOT / ".run"


def test_without_a_project_the_users_folders_are_used(home: Path, tmp_path: Path) -> None:
    places = find_places(tmp_path)

    assert places.project is None
    assert home in places.models.parents
    assert home in places.run.parents
    assert "serving-gateway" in places.models.parts
    assert "serving-gateway" in places.run.parts
    assert not home.exists()


def test_a_current_folder_that_was_removed_is_no_project(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert project_folder(ROOT) == ROOT
