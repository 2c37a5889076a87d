"""Every command of docs/models.md is run by a test, or the manual says why it is not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import shell_blocks
from tests.docs.shell_blocks import NOT_RUN
from tests.scripts import manual
from tests.scripts.manual import Command, all_commands, script_command

TESTS = Path(__file__).parents[1]


def asked_for(source: str) -> Iterator[Command]:
    """Yield the commands that the calls of ``manual_commands`` in a test ask for."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id == "manual_commands":
            files = tuple(ast.literal_eval(argument) for argument in node.args)
            named = {str(each.arg): ast.literal_eval(each.value) for each in node.keywords}
            yield from manual.chosen(files, named.get("script", "export_saved_model.py"))


def test_every_command_is_run_or_marked() -> None:
    sources = (path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    run = {command for source in sources for command in asked_for(source)}

    assert [command for command in all_commands() if command not in run and not command.mark] == []


def test_the_reason_is_told_for_the_commands_that_need_the_internet_only() -> None:
    marked = [command for command in all_commands() if command.mark]

    assert [command.script for command in marked] == ["download_model.py", "export_saved_model.py"]
    assert {command.mark for command in marked} == {f"{NOT_RUN}the weights come from the internet."}


def test_a_command_is_split_into_words() -> None:
    found = shell_blocks.Command("page", ".venv/bin/python scripts/d.py 'x y' z", "why")

    assert script_command(found) == Command("d.py", ("x y", "z"), "why")


def test_a_command_of_another_program_is_an_error() -> None:
    with pytest.raises(ValueError, match="'rm -r x' is no command of a script"):
        script_command(shell_blocks.Command("page", "rm -r x"))
