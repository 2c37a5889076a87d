"""Which models file a worker starts with."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_server.runtime import preload
from flask_server.settings import Settings
from model_catalog.errors import ModelsFileError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(preload, "_models_file", None)
    path = tmp_path / "models.toml"
    write(path, "a")
    return path


def write(path: Path, name: str) -> None:
    path.write_text(f'[models.{name}]\nbase_path = "m"\n')


def started_with(file: Path) -> str:
    return preload.models_file(file).default.name


def test_a_worker_that_starts_later_has_the_present_file(file: Path) -> None:
    preload.start(Settings(models_file=file))

    write(file, "b")

    assert started_with(file) == "b"


def test_where_the_file_is_wrong_a_worker_has_the_one_of_the_last_fork(file: Path) -> None:
    preload.start(Settings(models_file=file))
    write(file, "b")
    preload.refresh()
    file.write_text("[models")

    preload.refresh()

    assert started_with(file) == "b"


def test_a_wrong_file_of_another_path_is_an_error(file: Path) -> None:
    preload.start(Settings(models_file=file))

    with pytest.raises(ModelsFileError):
        preload.models_file(file.with_name("other.toml"))


def test_without_a_parent_process_a_refresh_does_nothing(file: Path) -> None:
    preload.refresh()

    assert not preload.has_started()
