"""Every script runs by its path from any folder, and its --help imports no heavy package."""

from __future__ import annotations

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
    assert not imported & {"tensorflow", "keras", "sklearn"}
