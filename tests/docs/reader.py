"""Somebody who follows the manuals in a terminal on a machine of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs import terminal as terminals
from tests.docs.checkout import make_checkout
from tests.docs.outputs import differences
from tests.docs.shell_blocks import commands_of
from tests.docs.terminal import Job, Terminal, ready_when

WHY_NOT = terminals.why_not()
#: curl's exit code for answers with a status of 400 or more, with `fail-with-body`.
REFUSED = 22


class Reader:
    """Somebody who types the commands of pages into a terminal."""

    def __init__(self, terminal: Terminal, project: Path, files: Path) -> None:
        self.terminal = terminal
        self.project = project
        self.files = files
        self.jobs: dict[str, Job] = {}

    def follow(
        self,
        page: str,
        before: Mapping[str, Callable[[], object]] | None = None,
        refused: str | None = None,
    ) -> None:
        """Do what a page says.

        ``before`` has what a reader does by himself before the command that begins so; the command
        that contains ``refused`` is answered with an error, as the page says.
        """
        for command in commands_of(page):
            for start, prepare in (before or {}).items():
                if command.text.startswith(start):
                    prepare()
            is_refused = refused is not None and refused in command.text
            self.check(command.text, command.output, REFUSED if is_refused else 0)

    def check(self, text: str, shown: str | None = None, status: int = 0) -> None:
        """Run a command, or start the server that it is, and compare the output."""
        condition = ready_when(text)
        if condition is None:
            printed = self.terminal.run(text, status)
            assert shown is None or differences(shown, printed) == [], printed
        elif _plain(text) not in self.jobs:
            self.start(text, condition)

    def stop(self, part: str) -> None:
        """Press Ctrl-C where the server runs whose command has this part."""
        (text,) = [text for text in self.jobs if part in text]
        self.terminal.interrupt(self.jobs.pop(text))

    def start(self, text: str, condition: str) -> Job:
        """Start a server and wait until it is ready."""
        job = self.jobs[_plain(text)] = self.terminal.start(text)
        self.terminal.wait_until(job, condition)
        return job


def _plain(text: str) -> str:
    """Return a command without its comment."""
    return text.partition("  #")[0].strip()


@contextmanager
def reader(demo: Path, folder: Path) -> Iterator[Reader]:
    """Sit down before a fresh checkout; all servers are stopped in the end."""
    if WHY_NOT:
        pytest.skip(f"no namespaces: {WHY_NOT}")
    project = make_checkout(folder, demo)
    home, files = folder / "home", folder / "terminal"
    home.mkdir()
    files.mkdir()
    (home / ".curlrc").write_text("silent\nfail-with-body\nmax-time = 60\n")
    paths = [str(project / ".venv" / "bin"), os.environ["PATH"]]
    env = {"HOME": str(home), "PATH": ":".join(paths), "LANG": "C.UTF-8"}
    with terminals.terminal(str(project / ".venv/bin/python"), project, files, env) as opened:
        yield Reader(opened, project, files)
