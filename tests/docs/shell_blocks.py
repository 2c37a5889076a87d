"""The commands in the shell blocks of the manuals, with the output that is shown for them.

A block of ``sh`` has commands; a block of ``console`` has commands after ``$`` and their output. A
block of ``json`` right after a block of commands is the output of its last command.

A comment says why no test runs a command, or which test does. Before a block it is
``<!-- Not run by the tests of this project: REASON. -->`` or ``<!-- Run by tests/test_x.py. -->``;
if it begins with a command in backquotes, it is about this command only. In a block it is
``# Not run by the tests of this project: REASON.``, about the commands below it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from docs.generator.markdown import DOCS, ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
NOT_RUN = "Not run by the tests of this project: "
RUN_BY = "Run by "
#: Begins the mark of commands that only `make commands` runs.
LONG = f"{RUN_BY}`make commands`"

_BLOCK = re.compile(
    r"(?:^ *<!-- ((?:Not run|Run by)[^>]*?) -->\n)?^( *)```(sh|console)\n(.*?)^\2```$"
    r"(?:\n+\2```json\n(.*?)^\2```$)?",
    re.MULTILINE | re.DOTALL,
)
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'")
_PROMPT = "$ "


@dataclass(frozen=True)
class Command:
    """One command of a manual."""

    page: str
    text: str
    mark: str = ""
    """Why no test runs it, or which test does; empty for one that is run as it stands there."""

    output: str | None = None
    """What the manual shows as its output."""


def commands_in(page: str, text: str) -> Iterator[Command]:
    """Yield the commands of a page in order."""
    for mark, indent, kind, block, shown in _BLOCK.findall(text):
        lines = [line.removeprefix(indent) for line in block.splitlines()]
        found = list((_typed if kind == "console" else _written)(lines))
        if shown and found:
            found[-1] = replace(found[-1], output=shown)
        for command in found:
            about_it = command.text.startswith(_subject(mark))
            yield replace(command, page=page, mark=(mark if about_it else "") or command.mark)


def _subject(mark: str) -> str:
    """Return the command that a mark is about, empty for all of its block."""
    found = re.match(r"[^`]*?: `(.*?)`", mark)
    return found[1] if found else ""


def _written(lines: list[str]) -> Iterator[Command]:
    """Yield the commands of a block without prompts."""
    mark, waiting = "", ""
    for line in lines:
        if not waiting and line.startswith("#"):
            mark = line.removeprefix("# ") if NOT_RUN in line else mark
        elif waiting or line.strip():
            waiting += f"{line}\n"
            if is_complete(waiting):
                yield Command("", waiting.rstrip("\n"), mark)
                waiting = ""


def _typed(lines: list[str]) -> Iterator[Command]:
    """Yield the commands after the prompts of a block, with their output."""
    text, shown = "", list[str]()
    for line in [*lines, _PROMPT]:
        if line.startswith(_PROMPT):
            if text:
                yield Command("", text.rstrip("\n"), output="\n".join(shown))
            text, shown = f"{line.removeprefix(_PROMPT)}\n", []
        elif not is_complete(text):
            text += f"{line}\n"
        else:
            shown.append(line)


def is_complete(text: str) -> bool:
    """Tell whether a shell would run these lines instead of waiting for more."""
    if text.endswith("\\\n"):
        return False
    for end in _HERE_DOCUMENT.findall(text):
        return f"\n{end}\n" in text
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


@cache
def all_commands() -> Sequence[Command]:
    """Return the commands of all manuals."""
    return [
        command
        for page in PAGES
        for command in commands_in(
            page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
        )
    ]


def commands_of(page: str) -> list[Command]:
    """Return the commands of a page that are run as they stand there."""
    return [command for command in all_commands() if command.page == page and not command.mark]


def arguments(page: str, part: str) -> list[list[str]]:
    """Return the arguments of the scripts of a page in whose command a part occurs."""
    commands = (command.text for command in all_commands() if command.page == page)
    words = (shlex.split(text) for text in commands if part in text)
    return [rest for _, script, *rest in words if script.startswith("scripts/")]
