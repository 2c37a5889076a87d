"""Folders into which this user may not look are told in a sentence."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_catalog.errors import LabelsError, ModelsFileError
from model_catalog.folders import faults
from model_catalog.labels import read_labels
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile
from model_catalog.models_file_watch import require_folders_here
from tests.other_user import restricted


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder with the folder of a model, neither of which may be read."""
    with tempfile.TemporaryDirectory() as folder:  # the folders of pytest are closed for others
        os.chmod(folder, 0o755)
        locked = Path(folder) / "locked"
        (locked / "model" / "1").mkdir(parents=True)
        locked.chmod(0)
        yield locked
        locked.chmod(0o700)


def models(base_path: Path) -> ModelsFile:
    return ModelsFile(Path("models.toml"), (ModelEntry(name="toy", base_path=base_path),))


def test_a_model_folder_of_another_user_is_no_folder_for_this_one(locked: Path) -> None:
    file = models(locked / "model")

    with restricted():
        with pytest.raises(ModelsFileError, match="is not a folder"):
            file.require_folders()
        require_folders_here(file)(file)  # nothing is refused that was not there before


def test_the_doctor_names_a_folder_that_may_not_be_read(locked: Path) -> None:
    with restricted():
        (inside,) = faults(models(locked / "model").default)
        (itself,) = faults(models(locked).default)

    assert "model is not a folder" in inside.text
    assert itself.text == f"{locked} cannot be read by this user"
    assert itself.fix == f"chmod -R a+rX {locked}"


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_may_be_listed_only_is_told_as_well(locked: Path, mode: int) -> None:
    locked.chmod(mode)

    with restricted():
        (fault,) = faults(models(locked).default)

    assert fault.text == f"{locked} cannot be read by this user"


@pytest.mark.parametrize("place", ["model", "labels.txt", "."])
def test_labels_that_may_not_be_read_are_the_fault_of_the_labels(locked: Path, place: str) -> None:
    with restricted(), pytest.raises(LabelsError, match="cannot be read: Permission denied"):
        read_labels(locked / place)
