"""What the commands about a running instance say, to whoever runs them by whatever name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import auto_cmd
from orchestrator.command_line import run
from orchestrator.processes import identity
from orchestrator.run_dir import RunDir
from tests.other_user import restricted

OWN = {"pid": os.getpid(), "identity": identity(os.getpid())}
#: The command of an installed package, with a model that cannot be used.
PROGRAM = replace(auto_cmd.program("serving-gateway"), unusable_models=lambda _: {"m": "no labels"})


def call(run_dir: RunDir, *words: str) -> int:
    return run(PROGRAM, [*words, "--run-dir", str(run_dir.path)])


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[RunDir]:
    run_dir = RunDir(tmp_path / "run")
    run_dir.acquire()
    yield run_dir
    run_dir.release()


@pytest.mark.parametrize("words", [["status"], ["restart"]])
def test_a_warning_names_the_command_that_the_user_runs(
    run_dir: RunDir, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    state: dict[str, Any] = {"children": {}, "ready": True, "started_at": "today"}
    run_dir.write(OWN | state)

    assert call(run_dir, *words) == 0

    said = capsys.readouterr().out
    assert "model m is not ready: no labels (try: serving-gateway doctor)" in said


def test_leftovers_name_the_command_that_the_user_runs(
    run_dir: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir.write({"pid": 1, "identity": "ended", "children": {"gateway": OWN}})

    assert call(RunDir(run_dir.path), "status") == 1

    assert f"gateway (PID {os.getpid()}); serving-gateway stop ends it" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["status", "stop", "restart"])
def test_a_run_folder_that_may_not_be_read_is_not_one_where_nothing_runs(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # the folders of pytest are closed for others
        os.chmod(folder, 0o755)
        run_dir = RunDir(Path(folder) / "run")
        run_dir.prepare()
        run_dir.path.chmod(0)
        try:
            with restricted():
                assert call(run_dir, word) == 1
        finally:
            run_dir.path.chmod(0o700)

    said = capsys.readouterr()
    assert f"{run_dir.path} may not be read by this user" in said.err
    assert "nothing is running" not in said.out
