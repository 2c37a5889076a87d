"""An export of Teachable Machine is recognised, as a folder, an archive or its model file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts.loading.teachable_machine import is_export, opened

H5 = ("keras_model.h5", "labels.txt")


def folder(path: Path, *files: str) -> Path:
    for name in files:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("files", "model"),
    [
        (H5, "keras_model.h5"),
        (("keras_Model.h5", "labels.txt"), "keras_Model.h5"),
        (("model.savedmodel/saved_model.pb", "labels.txt"), "model.savedmodel"),
    ],
)
def test_the_folder_has_a_model_and_labels(
    tmp_path: Path, files: tuple[str, ...], model: str
) -> None:
    folder(tmp_path, *files)

    with opened(tmp_path) as export:
        assert export is not None
        assert (export.model, export.labels) == (tmp_path / model, tmp_path / "labels.txt")
    assert is_export(tmp_path)


def test_the_model_file_stands_for_its_folder(tmp_path: Path) -> None:
    folder(tmp_path, *H5)

    assert is_export(tmp_path / "keras_model.h5")
    (tmp_path / "labels.txt").unlink()
    assert not is_export(tmp_path / "keras_model.h5")


@pytest.mark.parametrize("inner", ["", "converted_keras"])
def test_an_archive_is_unpacked_for_as_long_as_it_is_needed(tmp_path: Path, inner: str) -> None:
    folder(tmp_path / "all" / inner, *H5, "other/file.txt")
    archive = Path(shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "all"))

    assert is_export(archive)
    with opened(archive) as export:
        assert export is not None
        assert export.labels.read_text(encoding="utf-8") == "labels.txt"
        assert not (export.model.parent / "other").exists()
    assert not export.model.exists()


@pytest.mark.parametrize("files", [("a.h5", "labels.txt"), ("keras_model.h5",), ("labels.txt",)])
def test_other_folders_and_archives_are_none(tmp_path: Path, files: tuple[str, ...]) -> None:
    folder(tmp_path / "all", *files)
    archive = Path(shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "all"))

    for path in (tmp_path / "all", archive, tmp_path / "missing.h5"):
        assert not is_export(path)
        with opened(path) as export:
            assert export is None
