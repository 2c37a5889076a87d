from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import WHY_NOT
from tests.docs.terminal import CommandFailed, Terminal, ready_when, terminal

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no namespaces: {WHY_NOT}")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Terminal]:
    with terminal(sys.executable, tmp_path, tmp_path, {"PATH": os.environ["PATH"]}) as shell:
        yield shell


def test_folder_and_variables_stay_from_command_to_command(opened: Terminal) -> None:
    opened.run("mkdir a && cd a\nexport NAME=value")

    assert opened.run("echo $NAME; basename $PWD") == "value\na\n"


def test_a_command_that_fails_is_told_with_its_output(opened: Terminal) -> None:
    with pytest.raises(CommandFailed, match="ends with 3:\nwhy"):
        opened.run("echo why >&2; (exit 3)")

    assert opened.run("(exit 3)", status=3) == ""


def test_a_command_that_takes_long_is_told_with_its_output(opened: Terminal) -> None:
    opened.limit_s = 2.0  # a busy machine may begin it late

    with pytest.raises(CommandFailed, match="takes over 2 s:\nbegun"):
        opened.run("echo begun; sleep 60")


def test_a_server_that_goes_on_after_ctrl_c_is_told(opened: Terminal) -> None:
    job = opened.start("trap '' INT; echo deaf; sleep 60")
    opened.wait_until(job, "grep deaf $OUTPUT")
    opened.limit_s = 0.5

    with pytest.raises(CommandFailed, match="sleep 60\ntakes over 0.5 s:\ndeaf"):
        opened.interrupt(job)


def test_a_server_has_the_port_to_itself_until_it_is_interrupted(opened: Terminal) -> None:
    job = opened.start(f"{sys.executable} -u -m http.server --bind 127.0.0.1 5000")
    # A whole request: Python may hang if it is interrupted while it starts a thread.
    opened.wait_until(job, "curl --silent http://127.0.0.1:5000/")

    opened.interrupt(job)

    assert "Serving HTTP" in job.output
    opened.run("(exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null", status=1)


def test_a_server_that_ends_is_not_waited_for(opened: Terminal) -> None:
    job = opened.start("echo no such model; exit 1")

    with pytest.raises(CommandFailed, match="does not get ready:\nno such model"):
        opened.wait_until(job, "false")


@pytest.mark.parametrize(
    ("text", "is_server"),
    [
        ("make run", True),
        ("GATEWAY_X=1 python auto_cmd.py start", True),
        ("python auto_cmd.py start --detach", False),
        (".venv/bin/python -m model_server --rest_api_port=8501 \\\n  --model_name=m", True),
        ("flask --app flask_server.app run --port 5000", True),
        ("curl http://127.0.0.1:5000/", False),
    ],
)
def test_servers_are_told_from_commands_that_end(text: str, *, is_server: bool) -> None:
    assert (ready_when(text) is not None) is is_server
