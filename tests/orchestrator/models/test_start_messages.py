from __future__ import annotations

import argparse
from pathlib import Path

from model_catalog.model_entry import ModelEntry
from orchestrator.models.start_messages import start_notes
from orchestrator.resolved_options import resolve
from orchestrator.run_dir import RunDir
from orchestrator.start_options import add_start_options


def test_a_model_folder_that_cannot_be_read_is_noted_and_the_start_goes_on(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_start_options(parser)
    words = parser.parse_args(["--serving", "embedded"])
    (tmp_path / "no_folder").touch()
    entries = [
        ModelEntry(name="odd", base_path=tmp_path / "no_folder"),
        ModelEntry(name="gone", base_path=tmp_path / "gone"),
    ]

    notes = list(start_notes(resolve(words, RunDir(tmp_path / ".run"), tmp_path), entries))

    ending = "; the start does not wait for it"
    assert notes[1:] == [
        f"note: model odd: {tmp_path}/no_folder cannot be read (Not a directory){ending}",
        f"note: model gone: {tmp_path}/gone cannot be read (No such file or directory){ending}",
    ]
