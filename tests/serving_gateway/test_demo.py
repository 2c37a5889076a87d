"""``serving-gateway demo`` with fake servers, and a stand-in for what fetches the model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_server import packages
from serving_gateway import demo
from tests.orchestrator.project_sandbox import ROOT, ProjectSandbox, executable
from tests.waiting import eventually

#: Stands for scripts/demo_model.py, which needs a network.
PREPARE = """\
from pathlib import Path
from scripts.errors import ScriptError

def prepare(base_path: Path) -> Path:
    if Path("no_network").exists():
        raise ScriptError("the package index\\ncannot be reached")
    (base_path / "1").mkdir(exist_ok=True)
    return base_path / "1"
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[ProjectSandbox]:
    sandbox = ProjectSandbox(tmp_path).build()
    (tmp_path / "serving_gateway").symlink_to(ROOT / "serving_gateway")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "__init__.py").touch()
    (tmp_path / "scripts" / "errors.py").symlink_to(ROOT / "scripts" / "errors.py")
    (tmp_path / "scripts" / "demo_model.py").write_text(PREPARE)
    executable(tmp_path / "browser", f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\n')
    sandbox.env |= {"BROWSER": f"{tmp_path}/browser %s", "HOME": str(tmp_path / "home")}
    with sandbox.torn_down():
        yield sandbox


def argv(sandbox: ProjectSandbox, *words: str) -> list[str]:
    ports = ["--port", str(sandbox.port), "--serving-port", str(sandbox.serving_port)]
    ports += ["--grpc-port", str(sandbox.grpc_port)]
    folder = ["--folder", str(sandbox.root / "demo")]
    return [sys.executable, "-m", "serving_gateway", "demo", *folder, *ports, *words]


def call(sandbox: ProjectSandbox, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(sandbox, *words),
        cwd=sandbox.root,
        env=sandbox.env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def opened(sandbox: ProjectSandbox) -> list[str]:
    file = sandbox.root / "opened"
    return file.read_text().split() if file.exists() else []


def test_the_demo_asks_for_all_that_the_model_server_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def require(_: str, *modules: str) -> None:
        asked.extend(modules)

    def fail(_: Path) -> Path:
        raise demo.DemoFailed

    monkeypatch.setattr(packages, "require", require)
    packages.require_packages()
    of_server, asked = asked, []
    monkeypatch.setattr(demo, "require", require)
    with pytest.raises(demo.DemoFailed):
        demo.main(["--folder", str(tmp_path), "--run-dir", str(tmp_path)], "", fail)

    assert set(of_server) <= set(asked)


def test_the_model_is_made_and_served_and_the_page_opened(sandbox: ProjectSandbox) -> None:
    url = f"http://127.0.0.1:{sandbox.port}"

    started = call(sandbox, "--detach", "--open")
    again = call(sandbox)

    assert f"ready: {url} " in started.stdout, started.stdout + started.stderr
    assert (sandbox.root / "demo" / "efficientnet_lite0" / "1").is_dir()
    assert sandbox.status()["models"] == ["efficientnet_lite0"]
    assert sandbox.status()["models_file"] == str(sandbox.root / "demo" / "models.toml")
    assert eventually(lambda: opened(sandbox) == [url])
    assert again.stdout == f"already running: {url}\n"
    assert again.returncode == 0


def test_in_the_foreground_the_page_opens_once_all_is_ready(sandbox: ProjectSandbox) -> None:
    with subprocess.Popen(
        argv(sandbox, "--open"),
        cwd=sandbox.root,
        env=sandbox.env,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as demo:
        assert eventually(lambda: opened(sandbox) == [f"http://127.0.0.1:{sandbox.port}"])
        demo.terminate()

    assert demo.returncode == 0


def test_servers_with_other_models_are_left_alone(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")

    done = call(sandbox)

    assert done.returncode == 1
    assert done.stderr.startswith(
        f"Servers with other models run at http://127.0.0.1:{sandbox.port}"
    )
    assert done.stderr.count("\n") == 1


def test_without_a_network_one_sentence_says_so(sandbox: ProjectSandbox) -> None:
    (sandbox.root / "no_network").touch()

    done = call(sandbox)

    assert done.returncode == 1
    assert done.stderr == "the package index cannot be reached\n"
