from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_catalog.model_entry import ModelEntry
from orchestrator.models.faults import model_faults, version_faults
from tests.other_user import restricted


@pytest.fixture
def entry() -> Iterator[ModelEntry]:
    """A model in a folder that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        base = Path(folder) / "m"
        (base / "1").mkdir(parents=True)
        yield ModelEntry(name="m", base_path=base)
        for path in (base, base / "1"):
            path.chmod(0o700)


def test_a_base_path_that_cannot_be_read_is_a_fault(entry: ModelEntry) -> None:
    entry.base_path.chmod(0)

    with restricted():
        [fault] = model_faults("embedded", entry)

    assert f"{entry.base_path} cannot be read" in fault.text
    assert fault.fix == f"chmod -R a+rX {entry.base_path}"


def test_a_version_that_cannot_be_read_is_a_fault(entry: ModelEntry) -> None:
    (entry.base_path / "1").chmod(0)

    with restricted():
        [fault] = version_faults("native", entry)

    assert fault.text == f"{entry.base_path}/1/saved_model.pb cannot be read (Permission denied)"
