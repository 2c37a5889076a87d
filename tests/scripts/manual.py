"""The commands of the manual docs/models.md, for the tests that run them.

``test_manual`` fails for a command that no test asks for here and that has no mark
(``tests/docs/shell_blocks.py`` says what a mark is).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tests.docs import shell_blocks

_PAGE = "docs/models.md"
_EXPORT = "export_saved_model.py"
_START = ".venv/bin/python scripts/"


@dataclass(frozen=True)
class Command:
    """One command of the manual."""

    script: str
    words: tuple[str, ...]

    mark: str
    """Why no test runs it, or which other test does; empty for one that is asked for here."""


def script_command(found: shell_blocks.Command) -> Command:
    """Return the script of a command and its arguments; raise ValueError for another program."""
    if not found.text.startswith(_START):
        raise ValueError(f"{found.text!r} is no command of a script, so no test can run it")
    script, *words = shlex.split(found.text.removeprefix(_START))
    return Command(script, tuple(words), found.mark)


def all_commands() -> list[Command]:
    """Return all commands of the manual."""
    return [script_command(each) for each in shell_blocks.all_commands() if each.page == _PAGE]


def manual_commands(*files: str, script: str = _EXPORT) -> list[list[str]]:
    """Return the arguments of a script's commands that name one of the files, or of all of them.

    Whoever asks runs them.
    """
    return [list(command.words) for command in chosen(files, script)]


def chosen(files: tuple[str, ...], script: str) -> list[Command]:
    """Return the commands that ``manual_commands`` is asked for."""
    commands = (each for each in all_commands() if each.script == script and not each.mark)
    return [each for each in commands if not files or set(each.words) & set(files)]
