"""A virtual environment that cannot be used any more is recognised by its files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.check_environment import main, reason


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    folder = tmp_path / "my project" / ".venv"
    command = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)]
    subprocess.run(command, check=True)
    return folder


def test_a_sound_or_missing_environment_gives_no_reason(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason(environment) == ""
    assert reason(tmp_path / "none") == ""
    assert main([str(environment)]) == 0
    assert capsys.readouterr().out == ""


def test_an_environment_of_another_tool_is_accepted(environment: Path) -> None:
    """virtualenv and uv do not note the command that made an environment."""
    lines = (environment / "pyvenv.cfg").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("command")]
    (environment / "pyvenv.cfg").write_text("".join(kept), encoding="utf-8")

    assert reason(environment) == ""


def test_a_moved_or_copied_environment_names_its_old_folder(
    environment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy" / ".venv"
    shutil.copytree(environment, copy, symlinks=True)

    main([str(copy)])

    assert capsys.readouterr().out == (
        f"it was made for {environment}; its programs do not run from another folder\n"
    )


@pytest.mark.parametrize("link", ["link/.venv", "linked"])
def test_an_environment_behind_a_symbolic_link_was_not_moved(
    environment: Path, tmp_path: Path, link: str
) -> None:
    (tmp_path / "link").symlink_to(environment.parent)
    (tmp_path / "linked").symlink_to(environment)

    assert reason(tmp_path / link) == ""


def test_an_environment_that_was_made_by_way_of_a_link_was_not_moved(
    environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(environment.parent)
    settings = environment / "pyvenv.cfg"
    noted = settings.read_text(encoding="utf-8").replace("my project", "link")
    settings.write_text(noted, encoding="utf-8")

    assert reason(environment) == ""


def test_an_environment_without_its_python_or_settings_is_incomplete(environment: Path) -> None:
    (environment / "bin" / "python").unlink()
    without_python = reason(environment)
    (environment / "pyvenv.cfg").unlink()

    assert without_python == reason(environment) == "it is not complete"


def test_a_python_that_was_removed_is_named(environment: Path, tmp_path: Path) -> None:
    python = environment / "bin" / "python"
    python.unlink()
    python.symlink_to(tmp_path / "removed" / "python3")

    assert reason(environment).startswith("its Python, ")
    assert reason(environment).endswith(", is gone")


def test_another_version_of_python_is_named(environment: Path, tmp_path: Path) -> None:
    """As after an upgrade of the system, which keeps the name python3."""
    newer = tmp_path / "python3.99"
    shutil.copy(sys.executable, newer)
    python = environment / "bin" / "python"
    python.unlink()
    python.symlink_to(newer)

    version = ".".join(map(str, sys.version_info[:2]))
    assert reason(environment) == f"it was made with Python {version}, and its Python is now 3.99"
