"""The commands of the manual docs/models.md."""

from __future__ import annotations

import shlex
from pathlib import Path

_MANUAL = Path(__file__).parents[2] / "docs" / "models.md"
_EXPORT = "export_saved_model.py"


def manual_commands(*files: str, script: str = _EXPORT) -> list[list[str]]:
    """Return the arguments of the commands of a script that name one of the files."""
    start = f".venv/bin/python scripts/{script} "
    lines = _MANUAL.read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line.removeprefix(start)) for line in lines if line.startswith(start)]
    return [command for command in commands if set(command) & set(files)]
