"""The commands about versions and many files in docs/models.md are those of the programs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from scripts import classify
from serving_gateway import models
from tests.running import ROOT

MANUAL = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
PARSERS = {"classify.py": classify.parser(), "models.py": models.parser("models.py")}


def commands() -> Iterator[tuple[str, list[str]]]:
    pattern = rf"^(?:\$ )?\.venv/bin/python scripts/({'|'.join(PARSERS)}) (.*)$"
    for program, words in re.findall(pattern, MANUAL, re.MULTILINE):
        yield program, shlex.split(words)


@pytest.mark.parametrize(("program", "words"), list(commands()))
def test_a_command_is_understood(program: str, words: list[str]) -> None:
    PARSERS[program].parse_args(words)


def test_there_are_commands_of_both() -> None:
    assert {program for program, _ in commands()} == set(PARSERS)


def test_the_manual_names_every_action_and_option() -> None:
    section = MANUAL[MANUAL.index("## Versions as a workflow") :]

    assert [name for name in models.ACTIONS if f"| `{name}" not in section] == []
    options = re.findall(r"(--[a-z-]+)", classify.parser().format_help())
    assert [option for option in set(options) - {"--help"} if option not in section] == []
