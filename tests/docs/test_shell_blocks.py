from __future__ import annotations

import re

import pytest

from docs.generator.markdown import ROOT
from tests.docs.shell_blocks import (
    NOT_RUN,
    RUN_BY,
    Command,
    all_commands,
    commands_in,
    commands_of,
)
from tests.docs.test_commands_run import ELSEWHERE, FOLLOWED

COMMANDS = all_commands()
_TEST = re.compile(r"(?:`?make [a-z]+`?|tests/[\w/]+\.py)")


def test_commands_are_found_with_their_output_and_marks() -> None:
    text = (
        "```sh\nmake \\\n  run  # serves\n\ncat <<'EOF' > x\n$ not a prompt\nEOF\n"
        f"# a comment\n# {NOT_RUN}it is slow.\nmake bench\n```\n"
        "   ```console\n   $ make 'a\n   b'\n   c  d\n   $ ls\n   ```\n"
        f"<!-- {NOT_RUN}there is no cluster. -->\n```sh\nkubectl get\n```\n"
        '```sh\nls\ncurl x\n```\n\n```json\n{"a": 1}\n```\n'
    )

    assert list(commands_in("p", text)) == [
        Command("p", "make \\\n  run  # serves"),
        Command("p", "cat <<'EOF' > x\n$ not a prompt\nEOF"),
        Command("p", "make bench", f"{NOT_RUN}it is slow."),
        Command("p", "make 'a\nb'", output="c  d"),
        Command("p", "ls", output=""),
        Command("p", "kubectl get", f"{NOT_RUN}there is no cluster."),
        Command("p", "ls"),
        Command("p", "curl x", output='{"a": 1}\n'),
    ]


def test_each_mark_names_a_reason_or_a_test() -> None:
    marks = {command.mark for command in COMMANDS if command.mark}

    assert [mark for mark in marks if not mark.startswith((NOT_RUN, RUN_BY))] == []
    assert [mark for mark in marks if not mark.endswith(".")] == []
    assert [m for m in marks if m.startswith(RUN_BY) and not _TEST.search(m)] == []


@pytest.mark.parametrize(
    ("command", "test"),
    [
        (command, test)
        for command in COMMANDS
        if command.mark.startswith(RUN_BY)
        for test in _TEST.findall(command.mark)
        if test.startswith("tests/")
    ],
)
def test_the_test_that_runs_a_command_takes_it_from_the_page(command: Command, test: str) -> None:
    source = (ROOT / test).read_text(encoding="utf-8")

    parts = re.findall(rf'arguments\("{re.escape(command.page)}", "([^"]+)"\)', source)

    assert [part for part in parts if part in command.text]


def test_a_command_is_run_here_or_elsewhere_or_its_page_says_why_not() -> None:
    neither = [
        f"{command.page}: {command.text}"
        for command in COMMANDS
        if not command.mark and command.page not in {*FOLLOWED, *ELSEWHERE}
    ]

    assert neither == []


@pytest.mark.parametrize("page", ELSEWHERE)
def test_the_other_tests_take_the_commands_from_the_page(page: str) -> None:
    test = ROOT / ELSEWHERE[page]
    sources = test.read_text(encoding="utf-8"), (test.parent / "manual.py").read_text("utf-8")

    assert any(page.rpartition("/")[2] in source for source in sources)


def test_each_page_that_is_followed_has_commands() -> None:
    assert [page for page in FOLLOWED if not commands_of(page)] == []
