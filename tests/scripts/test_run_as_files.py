"""Every script runs by its path from any folder, and its --help imports no heavy package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
PROGRAMS = sorted(p for p in SCRIPTS.glob("*.py") if "__main__" in p.read_text(encoding="utf-8"))


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 5


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.name))
def test_help_is_there_at_once(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", program, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    assert done.stdout.startswith(f"usage: {program.name}")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorflow", "keras", "openvino", "nncf", "sklearn"}


@pytest.mark.parametrize(
    "program",
    [path for path in PROGRAMS if "from scripts" in path.read_text(encoding="utf-8")],
    ids=lambda path: str(path.name),
)
def test_a_copied_or_moved_project_uses_its_own_modules(program: Path, tmp_path: Path) -> None:
    """The interpreter knows the project at its old place, as after an editable install."""
    for room in ("scripts", "model_catalog"):
        shutil.copytree(SCRIPTS.parent / room, tmp_path / room)
        (tmp_path / room / "__init__.py").write_text("print(__file__)", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, tmp_path / "scripts" / program.name, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent)},
    )

    assert str(tmp_path / "scripts" / "__init__.py") in done.stdout
    assert str(SCRIPTS.parent / "scripts") not in done.stdout
