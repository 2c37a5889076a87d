"""``make`` installs once, says in a sentence why it could not, and leaves nothing half-made."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

#: A stand-in for Python that makes environments of itself; variables say which commands fail.
PYTHON = """#!/bin/sh
case "$*" in
    "-m venv --clear .venv")
        rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && exit $VENV ;;
    "-c import pip") exit $HAS_PIP ;;
    "-m ensurepip"*) exit $ENSUREPIP ;;
    "-m pip install"*) echo "$PIP_SAYS" >&2; exit $PIP ;;
esac
"""
FINE = {"VENV": "0", "HAS_PIP": "0", "ENSUREPIP": "1", "PIP": "0", "PIP_SAYS": ""}
OFFLINE = """WARNING: Retrying (Retry(total=4, …)) after 'NewConnectionError(…)'
ERROR: Could not find a version that satisfies the requirement setuptools>=77 (from versions: none)
ERROR: No matching distribution found for setuptools>=77"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "python").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", ".venv/run.stamp", f"PYTHON={project / 'python'}"],
        cwd=project,
        env={"PATH": os.environ["PATH"]} | FINE | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installation_is_done_once(project: Path) -> None:
    first, second = make(project), make(project)

    assert (first.returncode, first.stderr) == (0, "")
    assert "installing into .venv" in first.stdout
    assert "installing" not in second.stdout


def test_an_environment_that_could_not_be_made_is_removed(project: Path) -> None:
    """As on a Debian without python3-venv: the folder is there, pip is not."""
    failed = make(project, VENV="1")

    assert failed.returncode != 0
    assert "could not make the virtual environment .venv" in failed.stderr
    assert not (project / ".venv").exists()
    assert make(project).returncode == 0


def test_an_environment_without_pip_gets_one_or_is_named(project: Path) -> None:
    shutil.copy(project / "python", project / "p")
    (project / ".venv" / "bin").mkdir(parents=True)
    shutil.move(project / "p", project / ".venv" / "bin" / "python")

    without = make(project, HAS_PIP="1")

    assert without.returncode != 0
    assert ".venv/bin/python has no pip: remove .venv and run make again" in without.stderr
    assert make(project, HAS_PIP="1", ENSUREPIP="0").returncode == 0


def test_without_network_one_sentence_says_so(project: Path) -> None:
    offline = make(project, PIP="1", PIP_SAYS=OFFLINE)

    assert offline.returncode != 0
    assert "The package index cannot be reached, so nothing was installed" in offline.stderr
    assert "ERROR" not in offline.stderr
    assert (project / ".venv" / "pip.log").read_text(encoding="utf-8").strip() == OFFLINE
    assert make(project).returncode == 0


def test_other_failures_of_pip_are_shown(project: Path) -> None:
    conflict = "ERROR: Cannot install flask==1 and flask>=3\nnote: more"

    failed = make(project, PIP="1", PIP_SAYS=conflict)

    assert failed.returncode != 0
    assert "ERROR: Cannot install flask==1" in failed.stderr
    assert "its messages are in .venv/pip.log" in failed.stderr
    assert not (project / ".venv" / "run.stamp").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(project: Path) -> None:
    make(project)
    (project / ".venv" / "bin" / "python").unlink()
    (project / ".venv" / "bin" / "python").symlink_to(project / "removed")
    (project / ".venv" / "old_package").touch()

    again = make(project)

    assert again.returncode == 0
    assert "installing" in again.stdout
    assert not (project / ".venv" / "old_package").exists()
