"""``make`` installs once, says in a sentence why it could not, and leaves nothing half-made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

#: A stand-in for Python that makes environments of itself; variables say which commands fail.
PYTHON = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
    "-m venv --clear .venv")
        rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python
        echo "command = python3 -m venv --clear $PWD/.venv" >.venv/pyvenv.cfg && exit $VENV ;;
    "scripts/check_environment.py"*) exec "$REAL" "$@" ;;
    "auto_cmd.py status") exit $STATUS ;;
    "-c import pip") exit $HAS_PIP ;;
    "-m ensurepip"*) exit $ENSUREPIP ;;
    "-m pip install"*tensorflow-serving-api) echo "$STUBS_SAY" >&2; exit $STUBS ;;
    "-m pip install"*rotel) echo "$COLLECTOR_SAYS" >&2; exit $COLLECTOR ;;
    "-m pip install"*) echo "$PIP_SAYS" >&2; exit $PIP ;;
esac
"""
FINE = {
    "REAL": sys.executable,
    "STATUS": "3",
    "VENV": "0",
    "HAS_PIP": "0",
    "ENSUREPIP": "1",
    "PIP": "0",
    "PIP_SAYS": "",
    "STUBS": "0",
    "STUBS_SAY": "",
    "COLLECTOR": "0",
    "COLLECTOR_SAYS": "",
}
OFFLINE = """WARNING: Retrying (Retry(total=4, …)) after 'NewConnectionError(…)'
ERROR: Could not find a version that satisfies the requirement setuptools>=77 (from versions: none)
ERROR: No matching distribution found for setuptools>=77"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "scripts/check_environment.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "python").write_text(PYTHON, encoding="utf-8")
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(
    project: Path, *words: str, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run make, with the stand-in for Python of the project."""
    calls = {"CALLS": str(project / "calls")}
    return subprocess.run(
        ["make", *(words or [".venv/run.stamp"]), f"PYTHON={project / 'python'}"],
        cwd=folder or project,
        env={"PATH": os.environ["PATH"]} | FINE | calls | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(project: Path) -> list[str]:
    """The command lines of the stand-in, but for the check of the environment."""
    lines = (project / "calls").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("scripts/check_environment.py")]


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


@pytest.mark.parametrize(
    ("stamp", "extras", "without_dependencies"),
    [
        ("run", [""], []),
        ("tensorflow", ["", ",embedded,export,keras2"], []),
        ("dev", ["", ",embedded,export,dev"], ["tensorflow-serving-api", "rotel"]),
        ("docs", ["", ",docs"], []),
        ("release", ["", ",release"], []),
    ],
)
def test_tensorflow_is_installed_only_where_it_is_needed(
    project: Path, stamp: str, extras: list[str], without_dependencies: list[str]
) -> None:
    make(project, f".venv/{stamp}.stamp")

    installed = [line.rpartition(" ")[2] for line in calls(project) if "pip install" in line]
    assert installed == [
        *(f".[gateway,fast,openvino{extra}]" for extra in extras),
        *without_dependencies,
    ]


def test_run_passes_the_wanted_models_on(project: Path) -> None:
    make(project, "run")
    make(project, "run", "MODEL=demo")

    prepared = [line for line in calls(project) if "prepare_models" in line]
    assert prepared == [f"scripts/prepare_models.py --model {model}" for model in ("all", "demo")]


def test_an_environment_in_a_moved_folder_is_made_anew(project: Path, tmp_path: Path) -> None:
    make(project)
    moved = tmp_path / "moved"
    shutil.copytree(project, moved, ignore=shutil.ignore_patterns("moved"))

    first, second = make(project, folder=moved), make(project, folder=moved)

    assert f".venv is made anew: it was made for {project / '.venv'}" in first.stdout
    assert "installing" in first.stdout
    assert (second.returncode, second.stderr) == (0, "")
    assert "installing" not in second.stdout


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["doctor"], "auto_cmd.py doctor"),
        (["status"], "auto_cmd.py status"),
        (["logs", "ARGS=-f"], "auto_cmd.py logs -f"),
        (["stop"], "auto_cmd.py stop"),
    ],
)
def test_the_servers_are_looked_after_without_installing_anything(
    project: Path, words: list[str], call: str
) -> None:
    make(project, *words)

    assert calls(project) == [call]


GENERATED = (".venv/x", ".run/logs/x", "a/__pycache__/x", ".mypy_cache/x", "x.egg-info/x")
VERSIONS = ("my_image_classifier/1/x", "my_image_classifier/12/x", "scripts/inception_v3.keras")
KEPT = ("my_image_classifier/README.md", "my_digit_classifier/1/x", "flowers/1/x", "flowers.keras")


@pytest.mark.parametrize("models", [False, True])
def test_clean_removes_what_was_generated_and_models_on_request(
    project: Path, *, models: bool
) -> None:
    for name in (*GENERATED, *VERSIONS, *KEPT):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()

    done = make(project, "clean", *(["MODELS=1"] if models else []))

    left = {name for name in (*GENERATED, *VERSIONS, *KEPT) if (project / name).exists()}
    assert done.returncode == 0
    assert left == {*KEPT} | (set() if models else {*VERSIONS})


@pytest.mark.parametrize("status", ["0", "1"])
def test_clean_leaves_the_folder_of_running_servers_alone(project: Path, status: str) -> None:
    make(project)

    refused = make(project, "clean", STATUS=status)

    assert refused.returncode != 0
    assert "The servers must be stopped first: run make stop." in refused.stderr
    assert (project / ".venv" / "run.stamp").exists()


#: Packages of tests that are skipped without them, and the variables that make pip fail.
OPTIONAL = [
    ("tensorflow-serving-api", "STUBS", "STUBS_SAY"),
    ("rotel", "COLLECTOR", "COLLECTOR_SAYS"),
]


@pytest.mark.parametrize("said", [OFFLINE, OFFLINE.splitlines()[-1]])
@pytest.mark.parametrize(("package", "code", "says"), OPTIONAL)
def test_a_package_of_tests_that_cannot_be_had_is_done_without(
    project: Path, package: str, code: str, says: str, said: str
) -> None:
    done = make(project, ".venv/dev.stamp", folder=None, **{code: "1", says: said})

    assert done.returncode == 0
    assert f"{package} cannot be had, so the tests with it are skipped." in done.stderr
    assert (project / ".venv/dev.stamp").exists()


@pytest.mark.parametrize(("package", "code", "says"), OPTIONAL)
def test_any_other_failure_of_a_package_of_tests_is_told(
    project: Path, package: str, code: str, says: str
) -> None:
    for _ in range(2):
        failure = {code: "1", says: "ERROR: Disk quota exceeded"}
        done = make(project, ".venv/dev.stamp", folder=None, **failure)

        assert done.returncode == 2
        assert "ERROR: Disk quota exceeded\n" in done.stderr
        assert f"pip could not install {package}; its messages are" in done.stderr
