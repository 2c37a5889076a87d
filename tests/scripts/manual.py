"""The commands of the manual docs/models.md.

A comment that begins with ``MARK`` says of the commands below it in its block that no test runs
them, and why. ``test_manual`` fails for any other command that no test asks for here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "# Not run by the tests of this project: "

_MANUAL = Path(__file__).parents[2] / "docs" / "models.md"
_EXPORT = "export_saved_model.py"
_START = ".venv/bin/python scripts/"
_BLOCK = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command of the manual."""

    script: str
    words: tuple[str, ...]

    reason: str
    """Why no test runs it; empty for one that a test runs."""


def commands_in(text: str) -> Iterator[Command]:
    """Yield the commands in the blocks of a manual; raise ValueError for one of another program."""
    for kind, block in _BLOCK.findall(text):
        reason = ""
        for line in block.splitlines():
            if line.startswith("#"):
                reason = line.removeprefix(MARK) if line.startswith(MARK) else reason
            elif kind == "sh" or line.startswith("$ "):
                yield _command(line.removeprefix("$ "), reason)


def _command(line: str, reason: str) -> Command:
    if not line.startswith(_START):
        raise ValueError(f"{line!r} is no command of a script, so no test can run it")
    script, *words = shlex.split(line.removeprefix(_START))
    return Command(script, tuple(words), reason)


def all_commands() -> list[Command]:
    """Return all commands of the manual."""
    return list(commands_in(_MANUAL.read_text(encoding="utf-8")))


def manual_commands(*files: str, script: str = _EXPORT) -> list[list[str]]:
    """Return the arguments of a script's commands that name one of the files, or of all of them.

    Whoever asks runs them.
    """
    return [list(command.words) for command in chosen(files, script)]


def chosen(files: tuple[str, ...], script: str) -> list[Command]:
    """Return the commands that ``manual_commands`` is asked for."""
    commands = (each for each in all_commands() if each.script == script and not each.reason)
    return [each for each in commands if not files or set(each.words) & set(files)]
