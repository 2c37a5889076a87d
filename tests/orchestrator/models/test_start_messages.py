from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile
from orchestrator.models.served_models import ServedModels
from orchestrator.models.start_messages import ready_lines, start_notes
from orchestrator.resolved_options import ResolvedOptions, resolve
from orchestrator.run_dir import RunDir
from orchestrator.start_options import add_start_options

ROOT = Path(__file__).parents[3]


def resolved(root: Path) -> ResolvedOptions:
    parser = argparse.ArgumentParser()
    add_start_options(parser)
    arguments = parser.parse_args(["--serving", "embedded"])
    return resolve(arguments, RunDir(root / ".run"), root)


def test_a_model_folder_that_cannot_be_read_is_noted_and_the_start_goes_on(tmp_path: Path) -> None:
    (tmp_path / "no_folder").touch()
    entries = [
        ModelEntry(name="odd", base_path=tmp_path / "no_folder"),
        ModelEntry(name="gone", base_path=tmp_path / "gone"),
    ]

    notes = list(start_notes(resolved(tmp_path), entries))

    ending = "; the start does not wait for it"
    assert notes[1:] == [
        f"note: model odd: {tmp_path}/no_folder cannot be read (Not a directory){ending}",
        f"note: model gone: {tmp_path}/gone cannot be read (No such file or directory){ending}",
    ]


def test_the_commands_to_try_do_without_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder in which the start was typed may have been removed while the models loaded."""
    options = resolved(ROOT)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    served = ServedModels(options, ModelsFile(ROOT / "models.toml", ()))

    lines = list(ready_lines(options, served, "embedded"))

    assert f"{ROOT}/test_images/cat.jpg" in lines[1]
