"""The commands of an installed wheel: an empty folder, an empty home, no repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import requests

from model_catalog.version import VERSION
from orchestrator.genuine_server import NATIVE
from serving_gateway.command_line import SUBCOMMANDS
from tests.install.conftest import ROOT, Environment
from tests.running import free_port

GATEWAY = "serving-gateway"
MODELS = '[models.m]\nbase_path = "m"\n'

HELPS = """
import sys
from contextlib import suppress
from serving_gateway.command_line import main
for name in sys.argv[1:]:
    with suppress(SystemExit):
        main([name, "--help"])
"""
PAGE = """
import importlib.util, sys
assert not {m for m in ("tensorflow", "openvino") if importlib.util.find_spec(m)}
from pathlib import Path
from flask_server.app import create_app
from flask_server.settings import Settings
Path("models.toml").write_text('[models.m]\\nbase_path = "m"\\n')
client = create_app(Settings(models_file=Path("models.toml"))).test_client()
print(*(client.get(path).status_code for path in ("/", "/docs", "/static/classifier.js")))
"""


def says(done_stdout: str, done_stderr: str) -> str:
    """Return all output, which must not contain a traceback."""
    output = done_stdout + done_stderr
    assert "Traceback" not in output, output
    return output


@pytest.mark.parametrize(
    ("command", "first_line"),
    [
        (GATEWAY, f"{GATEWAY} {VERSION}"),
        ("auto_cmd", f"auto_cmd.py {VERSION}"),
        (NATIVE, f"TensorFlow ModelServer: {VERSION} (embedded)"),
    ],
)
def test_each_command_prints_the_version(plain: Environment, command: str, first_line: str) -> None:
    assert plain.run(command, "--version").stdout.splitlines()[0] == first_line


def test_each_command_has_its_help(plain: Environment) -> None:
    listed = plain.run(GATEWAY).stdout
    helps = plain.run("python", "-c", HELPS, *SUBCOMMANDS)

    assert says(helps.stdout, helps.stderr).count("usage: ") == len(SUBCOMMANDS)
    for name in SUBCOMMANDS:
        assert f"\n  {name} " in listed
        assert f"usage: {GATEWAY} {name} " in helps.stdout


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["demonstrate"], 2, "serving-gateway has no command 'demonstrate'; allowed are demo, "),
        (
            ["start"],
            2,
            "as it does not exist: write one with serving-gateway models add",
        ),
        (["start", "--bogus"], 2, "unrecognized arguments: --bogus"),
        (["models"], 2, "or try serving-gateway demo"),
        (["models", "--bogus"], 2, "unrecognized arguments: --bogus"),
        (["status"], 3, "nothing is running"),
        (["restart"], 3, "nothing is running"),
        (["stop"], 0, "nothing is running"),
        (["logs"], 0, ""),
        (["keys", "list"], 2, "name it by --file or GATEWAY_API_KEYS_FILE"),
        (["export"], 2, "the following arguments are required: --model"),
        (["export", "--model", "m.keras"], 2, "--base-path is required: "),
        (
            ["export", "--model", "m.keras", "--base-path", "m"],
            1,
            "image-classification-gateway[tensorflow,export]'",
        ),
        (["demo", "--folder", "/dev/null"], 1, "/dev/null/efficientnet_lite0: Not a directory."),
    ],
)
def test_a_command_that_cannot_work_says_why(
    plain: Environment, words: list[str], code: int, text: str
) -> None:
    done = plain.run(GATEWAY, *words)

    assert text in says(done.stdout, done.stderr)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["status"], "platformdirs", ""),
        (["doctor"], "platformdirs", ""),
        (["demo"], "platformdirs", ""),
        (["keys", "list"], "flask", "[gateway]"),
        (["export", "--model", "m.keras", "--base-path", "m"], "platformdirs", ""),
    ],
)
def test_without_packages_a_command_names_the_command_that_installs_them(
    without_packages: Environment, words: list[str], missing: str, extra: str
) -> None:
    done = without_packages.run(GATEWAY, *words)

    python = without_packages.bin / "python"
    assert says(done.stdout, done.stderr).startswith(f"{missing} is not installed; run {python}")
    assert done.stderr.endswith(f" -m pip install 'image-classification-gateway{extra}'\n")
    assert done.returncode == 1


def test_the_server_without_packages_says_so(without_packages: Environment) -> None:
    done = without_packages.run(NATIVE, "--version")

    assert says(done.stdout, done.stderr).startswith("numpy is not installed; run ")
    assert done.returncode == 1


def test_doctor_without_packages_names_all_of_them_in_a_project(
    without_packages: Environment, tmp_path: Path
) -> None:
    (tmp_path / "models.toml").write_text(MODELS)

    done = without_packages.run(GATEWAY, "doctor", cwd=tmp_path)

    output = says(done.stdout, done.stderr)
    assert "flask, flask-cors, " in output
    assert "openvino or tensorflow-cpu or tensorflow, protobuf are not installed" in output
    assert "fix: " in output
    assert done.returncode == 1


def test_a_folder_that_cannot_be_written_is_named(plain: Environment) -> None:
    done = plain.run(GATEWAY, "start", XDG_STATE_HOME="/dev/null")

    assert "/dev/null/serving-gateway/run cannot be used for state and logs" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_models_and_state_lie_in_the_project_or_else_in_the_users_folders(
    plain: Environment, tmp_path: Path
) -> None:
    assert str(plain.home / "data" / "serving-gateway" / "models.toml") in (
        plain.run(GATEWAY, "models").stderr
    )
    below = tmp_path / "project" / "below"
    below.mkdir(parents=True)
    (tmp_path / "project" / "models.toml").write_text(MODELS)
    (tmp_path / "project" / "m" / "3").mkdir(parents=True)

    done = plain.run(GATEWAY, "models", "--json", cwd=below)

    (version,) = json.loads(done.stdout)["versions"]
    assert version["folder"] == str(tmp_path / "project" / "m" / "3")


def test_keys_are_made_and_listed(plain: Environment) -> None:
    plain.run(GATEWAY, "keys", "--file", "keys.json", "create", "page")

    assert "page" in plain.run(GATEWAY, "keys", "list", GATEWAY_API_KEYS_FILE="keys.json").stdout


def test_a_host_of_the_gateway_alone_starts_it(gateway_only: Environment, tmp_path: Path) -> None:
    """Neither TensorFlow nor OpenVINO is there; the page and its files are."""
    (tmp_path / "models.toml").write_text(MODELS)
    elsewhere = ["--serving", "none", "--serving-url", "http://127.0.0.1:1"]
    words = ["doctor", *elsewhere, "--port", str(free_port()), "--models-file"]

    done = gateway_only.run(GATEWAY, *words, tmp_path / "models.toml")
    page = gateway_only.run("python", "-c", PAGE)

    assert "ok    gateway would start" in says(done.stdout, done.stderr)
    assert done.returncode == 0
    assert page.stdout == "200 200 200\n", page.stderr


def test_the_demo_answers_without_tensorflow(
    plain: Environment, request: pytest.FixtureRequest
) -> None:
    version: Path = request.getfixturevalue("demo")
    models = plain.home / "data" / "serving-gateway" / "demo" / "efficientnet_lite0"
    shutil.copytree(version, models / "1")
    port = free_port()
    ports = ["--port", str(port), "--serving-port", str(free_port())]
    url = f"http://127.0.0.1:{port}/models/efficientnet_lite0/predict"
    headers = {"Content-Type": "image/jpeg"}

    started = plain.run(GATEWAY, "demo", "--detach", *ports)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        body = (ROOT / "test_images" / "cat.jpg").read_bytes()
        answer = requests.post(url, data=body, headers=headers, timeout=60).json()
        listed = plain.run(GATEWAY, "models").stdout
        engine = plain.run("python", "-c", "import tensorflow")
    finally:
        stopped = plain.run(GATEWAY, "stop")

    assert answer["predictions"][0]["label"] == "Egyptian_cat"
    assert " AVAILABLE " in listed
    assert "No module named 'tensorflow'" in engine.stderr
    assert stopped.returncode == 0
