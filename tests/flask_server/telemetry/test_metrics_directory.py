from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flask_server.telemetry import metrics_directory
from flask_server.telemetry.metrics_directory import VARIABLE

MASTER = (
    "import os, time; from flask_server.telemetry import metrics_directory;"
    "print(metrics_directory.make(os.environ), flush=True); time.sleep(60 * {waits})"
)


@pytest.fixture(autouse=True)
def _temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def master(*, waits: bool) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MASTER.format(waits=int(waits))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def directory_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def numbers(directory: Path) -> list[Path]:
    return list(directory.glob("*.db"))


def test_directory_is_new_for_a_master_and_stays_the_same(tmp_path: Path) -> None:
    environ = {VARIABLE: str(tmp_path / "of-another-run")}

    first = metrics_directory.make(environ)
    (first / "counter_1.db").touch()
    again = metrics_directory.make(environ)
    another = metrics_directory.make({})

    assert first == again == Path(environ[VARIABLE])
    assert first.parent == tmp_path
    assert first != another
    assert numbers(another) == []


def test_directory_goes_with_its_master() -> None:
    with master(waits=False) as process:
        directory = directory_of(process)

    assert process.returncode == 0
    assert not directory.exists()


def test_directory_of_a_killed_master_goes_when_the_next_one_starts() -> None:
    with master(waits=True) as killed, master(waits=True) as living:
        abandoned, used = directory_of(killed), directory_of(living)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        before = abandoned.exists()

        metrics_directory.make({})

        after = abandoned.exists(), used.exists()
        living.kill()
    assert (before, *after) == (True, False, True)


def test_forked_worker_leaves_the_directory_alone() -> None:
    fork = MASTER.format(waits=0) + "; os.fork() and os.wait(); print(os.getpid(), flush=True)"
    check = "; print(os.path.isdir(os.environ[metrics_directory.VARIABLE]))"

    done = subprocess.run(
        [sys.executable, "-c", fork + check],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split()[-1] == "True"
