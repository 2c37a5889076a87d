"""The project's own command tensorflow_model_server is never taken for the genuine server."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.genuine_server import NATIVE, find_genuine, which
from tests.orchestrator.project_sandbox import executable

CONSOLE_SCRIPT = """\
#!/usr/bin/env python3
import sys
from model_server.console import main
if __name__ == '__main__':
    sys.exit(main())
"""
#: What version managers put on PATH: it says nothing of the program that it starts.
SHIM = '#!/bin/sh\n[ "$1" = --version ] && echo "TensorFlow ModelServer: 0.1.0 (embedded)"\n'
WRAPPER = '#!/bin/sh\n[ "$1" = --version ] && echo "TensorFlow ModelServer: 2.19.1-rls"\n'
BINARY = "\x7fELF"


def path_of(folder: Path, *texts: str) -> str:
    """Return a PATH of as many folders as there are texts, each with a program of that text."""
    folders = [folder / str(number) for number in range(len(texts))]
    for place, text in zip(folders, texts, strict=True):
        executable(place / NATIVE, text)
    return ":".join(map(str, folders))


@pytest.mark.parametrize("text", [CONSOLE_SCRIPT, SHIM])
def test_the_projects_own_command_is_passed_over(tmp_path: Path, text: str) -> None:
    assert find_genuine(path_of(tmp_path, text)) is None


@pytest.mark.parametrize("text", [WRAPPER, BINARY])
def test_the_genuine_server_behind_it_is_found(tmp_path: Path, text: str) -> None:
    path = path_of(tmp_path, CONSOLE_SCRIPT, text)

    assert find_genuine(path) == str(tmp_path / "1" / NATIVE)


def test_a_link_to_the_own_command_is_passed_over_too(tmp_path: Path) -> None:
    path = path_of(tmp_path, CONSOLE_SCRIPT)
    link = tmp_path / "bin" / NATIVE
    link.parent.mkdir()
    link.symlink_to(tmp_path / "0" / NATIVE)

    assert find_genuine(f"{link.parent}:{path}") is None


def test_a_script_that_cannot_be_started_is_no_embedded_server(tmp_path: Path) -> None:
    path = path_of(tmp_path, "#!/no/such/interpreter\n")

    assert find_genuine(path) == str(tmp_path / "0" / NATIVE)


def test_other_programs_and_an_empty_path_are_looked_up_as_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "docker", CONSOLE_SCRIPT)
    monkeypatch.setenv("PATH", f":{tmp_path}")

    assert which("docker") == str(tmp_path / "docker")
    assert which(NATIVE) is None
