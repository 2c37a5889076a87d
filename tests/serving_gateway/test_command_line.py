"""Which subcommand runs, and which sentence and exit code a failure becomes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from model_catalog.errors import ModelsFileError
from orchestrator.errors import NotRunning
from serving_gateway.command_line import SUBCOMMANDS, exit_code, main, sentence, usage
from tests.orchestrator.project_sandbox import ROOT


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_help_has_a_line_for_each_subcommand(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == usage()
    assert [line.split()[0] for line in usage().splitlines()[6:-2]] == list(SUBCOMMANDS)


def test_an_unknown_subcommand_is_refused_with_those_allowed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run"]) == 2
    assert capsys.readouterr().err == (
        "serving-gateway has no command 'run'; allowed are demo, start, stop, restart, status, "
        "logs, doctor, models, export, export-detector, quantize, classify, keys.\n"
    )


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (ModuleNotFoundError("…", name="flask"), "flask is not installed; run ", 1),
        (PermissionError(13, "Permission denied", "/srv/m"), "/srv/m: Permission denied.", 1),
        (ModelsFileError("m.toml:\n not TOML"), "m.toml: not TOML", 2),
        (NotRunning("nothing is running."), "nothing is running.", 3),
    ],
)
def test_a_failure_becomes_one_sentence_and_an_exit_code(
    error: Exception, text: str, code: int
) -> None:
    assert sentence(error).startswith(text)
    assert "\n" not in sentence(error)
    assert exit_code(error) == code


def test_a_reader_that_stops_reading_is_no_failure_to_tell() -> None:
    shell = f"{sys.executable} -m serving_gateway --help | true"

    done = subprocess.run(
        ["/bin/sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
