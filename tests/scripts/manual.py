"""The export commands of the manual docs/models.md."""

from __future__ import annotations

import shlex
from pathlib import Path

_MANUAL = Path(__file__).parents[2] / "docs" / "models.md"
_START = ".venv/bin/python scripts/export_saved_model.py "


def manual_commands(*files: str) -> list[list[str]]:
    """Return the arguments of the commands that name one of the files."""
    lines = _MANUAL.read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line.removeprefix(_START)) for line in lines if line.startswith(_START)]
    return [command for command in commands if set(command) & set(files)]
