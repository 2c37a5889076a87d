"""The real gateway and the real embedded server under auto_cmd, with the digits model."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.ports import port_problem
from orchestrator.probe import ask
from tests.load import Load
from tests.orchestrator.conftest import gone
from tests.orchestrator.project_sandbox import ROOT, ProjectSandbox, executable
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

DIGITS = ROOT / "my_digit_classifier"
#: The last of two equal flags counts: a version that cannot be loaded is given up after a second.
QUICK = "--load_retry_interval_micros=200000"
STRICT_SERVER = f"""#!/bin/sh
for flag; do
  case "$flag" in --model_config_file=*) grep -q name: "${{flag#*=}}" && exit 255;; esac
done
cd {ROOT} && exec {sys.executable} -m model_server "$@" {QUICK}
"""
#: The Python of the project: all servers are started with it.
QUICK_PYTHON = f"""#!/bin/sh
case "$*" in "-m model_server "*) set -- "$@" {QUICK};; esac
exec {sys.executable} "$@"
"""
PICTURE = ROOT / "test_images" / "digit_3.png"


def sandbox_of_the_real_project(folder: Path, project: Path = ROOT) -> ProjectSandbox:
    """Let the project's own auto_cmd.py run with the digits model and a run folder of its own."""
    (folder / "models.toml").write_text(f'[models.digits]\nbase_path = "{DIGITS}"\n')
    sandbox = ProjectSandbox(folder, project, ("--models-file", str(folder / "models.toml")))
    sandbox.env["HOME"] = str(folder)
    return sandbox


def project_of_quick_retries(folder: Path) -> Path:
    """Return the folder of a project like this one, but for the Python of its ``.venv``."""
    for name in ("orchestrator", "model_catalog", "serving_api", "model_server", "flask_server"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("auto_cmd.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    executable(folder / ".venv" / "bin" / "python", QUICK_PYTHON)
    return folder


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectSandbox]:
    with sandbox_of_the_real_project(tmp_path_factory.mktemp("pair")).torn_down() as sandbox:
        started = sandbox.call("start", "--detach")
        assert started.returncode == 0, started.stdout + sandbox.log("serving")
        yield sandbox


def digits_load(sandbox: ProjectSandbox) -> Load:
    image = base64.b64encode(PICTURE.read_bytes()).decode()
    body = json.dumps({"image": image, "top_k": 1}).encode()
    return Load(sandbox.port, "/models/digits/predict", body, "application/json")


def label(body: bytes) -> str:
    return str(json.loads(body)["predictions"][0]["label"])


def is_available(sandbox: ProjectSandbox) -> bool:
    url = f"http://127.0.0.1:{sandbox.serving_port}/v1/models/digits"
    return b'"AVAILABLE"' in ask(url).body


def test_a_rolling_restart_of_the_gateway_loses_no_request(sandbox: ProjectSandbox) -> None:
    load = digits_load(sandbox)

    with load.running():
        restarted = [sandbox.call("restart", "gateway").returncode for _ in range(2)]

    assert restarted == [0, 0]
    assert load.failures() == []
    assert {label(response.body) for response in load.responses} == {"3"}


def test_a_killed_serving_is_answered_with_503_until_it_is_back(sandbox: ProjectSandbox) -> None:
    load = digits_load(sandbox)

    with load.running():
        assert eventually(lambda: load.responses)
        sandbox.kill("serving")
        assert eventually(lambda: not is_available(sandbox))
        assert eventually(lambda: is_available(sandbox), seconds=90)
        available = time.monotonic()
        is_served = eventually(lambda: is_answered(load, available))

    good = [response for response in load.responses if response.status == 200]
    bad = [response for response in load.responses if response.status != 200]
    assert load.errors == []
    assert {label(response.body) for response in good} == {"3"}
    assert {response.status for response in bad} <= {503, 504}
    assert {response.content_type for response in bad} == {"application/problem+json"}
    assert is_served


def is_answered(load: Load, since: float) -> bool:
    """Tell whether one of the last requests was sent since then and answered."""
    last = load.responses[-100:]
    return any(each.status == 200 and each.at - each.took_s > since for each in last)


def test_a_killed_gateway_comes_back(sandbox: ProjectSandbox) -> None:
    assert eventually(sandbox.is_ready, seconds=90)

    gateway = sandbox.pid("gateway")
    sandbox.kill("gateway")

    assert eventually(lambda: sandbox.pid("gateway") not in {0, gateway} and sandbox.is_ready())
    assert ask(f"http://127.0.0.1:{sandbox.port}/readyz?model=digits").status == 200


def test_nothing_outlives_a_killed_auto_cmd(sandbox: ProjectSandbox) -> None:
    assert eventually(sandbox.is_ready, seconds=90)
    status = sandbox.status()
    pids = [child["pid"] for child in status["children"].values()]

    os.kill(status["pid"], signal.SIGKILL)

    assert eventually(lambda: all(map(gone, pids)))
    for port in (sandbox.port, sandbox.serving_port):  # gunicorn's workers end after it
        assert eventually(lambda p=port: not port_problem("127.0.0.1", p))  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["native", "embedded"])
def test_a_broken_model_an_undescribed_one_and_a_label_that_moves(
    tmp_path: Path, kind: str
) -> None:
    sandbox = sandbox_of_the_real_project(tmp_path, project_of_quick_retries(tmp_path))
    if kind == "native":  # ends at once where its first list has a model, as if that were broken
        program = tmp_path / "bin" / "tensorflow_model_server"
        executable(program, STRICT_SERVER)
        sandbox.env["PATH"] = f"{program.parent}:/usr/bin:/bin"
    for version in "12":
        shutil.copytree(DIGITS / "1", tmp_path / "digits" / version)
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"junk")
    configure(tmp_path, version=1)

    with sandbox.torn_down():
        started = sandbox.call("start", "--detach")

        assert started.returncode == 0, started.stdout
        assert "warning: model broken cannot be loaded: " in started.stdout
        assert ask(f"http://127.0.0.1:{sandbox.port}/readyz?model=digits").status == 200
        assert set(sandbox.status()["unusable_models"]) == {"broken"}
        assert eventually(lambda: labelled_version(sandbox) == 1)
        configure(tmp_path, version=2)
        assert sandbox.call("restart", "gateway").returncode == 0
        assert eventually(lambda: labelled_version(sandbox) == 2)
        assert ask(f"http://127.0.0.1:{sandbox.port}/readyz?model=digits").status == 200


def configure(folder: Path, version: int) -> None:
    """Write a models file of the digits, one version with a label, and of a broken model."""
    (folder / "models.toml").write_text(
        f'[models.digits]\nbase_path = "digits"\nversions = [{version}]\n'
        f'version_labels = {{stable = {version}}}\n[models.broken]\nbase_path = "broken"\n'
    )


def labelled_version(sandbox: ProjectSandbox) -> int | None:
    """Return the version that Serving answers for the label; None when there is none."""
    url = f"http://127.0.0.1:{sandbox.serving_port}/v1/models/digits/labels/stable"
    states = json.loads(ask(url).body or b"{}").get("model_version_status", [])
    available = [int(state["version"]) for state in states if state["state"] == "AVAILABLE"]
    return available[0] if available else None


def test_three_rounds_with_a_native_server(tmp_path: Path) -> None:
    sandbox = sandbox_of_the_real_project(tmp_path)
    program = tmp_path / "bin" / "tensorflow_model_server"
    # The embedded server says of itself what it is; this one must pass for the genuine server.
    start = f'cd {ROOT} && exec {sys.executable} -m model_server "$@"'
    executable(program, f'#!/bin/sh\n[ "$1" = --version ] && exit\n{start}\n')
    sandbox.env["PATH"] = f"{program.parent}:/usr/bin:/bin"

    with sandbox.torn_down():
        for _ in range(3):
            started = sandbox.call("start", "--detach")
            assert started.returncode == 0, started.stdout
            assert f"serving: native, {program}" in started.stdout
            pids = [child["pid"] for child in sandbox.status()["children"].values()]
            assert sandbox.call("stop").returncode == 0

            assert all(map(gone, pids))
            assert not port_problem("127.0.0.1", sandbox.port)
            assert not port_problem("127.0.0.1", sandbox.serving_port)
