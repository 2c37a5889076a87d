"""Versions as a workflow: auto_cmd, the gateway and a Serving that behaves as the genuine one."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from orchestrator.probe import ask
from tests.load import Load
from tests.orchestrator.project_sandbox import ROOT, ProjectSandbox, executable
from tests.orchestrator.test_real_pair import (
    DIGITS,
    PICTURE,
    STRICT_SERVER,
    sandbox_of_the_real_project,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

DIGITS_TABLE = """\
[models.digits] # kept
base_path = "digits"
versions = [1]
version_labels = { stable = 1 }
"""
SPLIT_TABLE = """\
[models.digits]
base_path = "digits"
versions = [1, 2]
version_labels = { stable = 1, canary = 2 }
split = { stable = 1, canary = 1 }
shadow = { canary = 100 }
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectSandbox]:
    folder = tmp_path_factory.mktemp("versions")
    sandbox = sandbox_of_the_real_project(folder)
    sandbox.env["GATEWAY_WORKERS"] = "2"
    program = folder / "bin" / "tensorflow_model_server"
    executable(program, STRICT_SERVER)
    sandbox.env["PATH"] = f"{program.parent}:/usr/bin:/bin"
    for version in "12":
        shutil.copytree(DIGITS / "1", folder / "digits" / version)
    (folder / "models.toml").write_text(DIGITS_TABLE)
    with sandbox.torn_down():
        started = sandbox.call("start", "--detach")
        assert started.returncode == 0, started.stdout + sandbox.log("serving")
        yield sandbox


def models(sandbox: ProjectSandbox, *words: str) -> str:
    """Run an action of ``models`` for the instance; return what it says."""
    argv = [sys.executable, "-m", "serving_gateway", "models", *words]
    done = subprocess.run(
        [*argv, "--run-dir", str(sandbox.root / ".run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def get(sandbox: ProjectSandbox, path: str) -> tuple[int | None, Mapping[str, Any]]:
    answer = ask(f"http://127.0.0.1:{sandbox.port}{path}")
    return answer.status, json.loads(answer.body or b"{}")


def test_a_label_is_promoted_without_losing_a_request(
    sandbox: ProjectSandbox,
) -> None:
    image = base64.b64encode(PICTURE.read_bytes()).decode()
    body = json.dumps({"image": image, "top_k": 1, "label": "stable"}).encode()
    load = Load(sandbox.port, "/models/digits/predict", body, "application/json")
    pids = [sandbox.pid("serving"), sandbox.pid("gateway")]

    def versions() -> set[int | None]:
        return {json.loads(response.body).get("version") for response in load.responses}

    with load.running():
        assert eventually(lambda: versions() == {1})
        told = models(sandbox, "promote", "digits", "2", "--label", "stable")
        assert eventually(lambda: 2 in versions())

    assert "digits: label stable: version 1 -> 2" in told
    assert load.failures() == []
    assert versions() == {1, 2}
    assert "# kept" in (sandbox.root / "models.toml").read_text()
    # The other worker of the gateway reads the file at a time of its own.
    assert eventually(lambda: get(sandbox, "/models/digits")[1]["version_labels"] == {"stable": 2})
    assert [sandbox.pid("serving"), sandbox.pid("gateway")] == pids


def test_requests_are_split_and_copied_without_losing_one(sandbox: ProjectSandbox) -> None:
    image = base64.b64encode(PICTURE.read_bytes()).decode()
    body = json.dumps({"image": image, "top_k": 1}).encode()
    load = Load(sandbox.port, "/models/digits/predict", body, "application/json")

    def labels() -> set[str | None]:
        return {json.loads(each.body).get("version_label") for each in load.responses}

    with load.running():
        (sandbox.root / "models.toml").write_text(SPLIT_TABLE)
        assert eventually(lambda: {"stable", "canary"} <= labels())

    assert load.failures() == []
    found: list[dict[str, Any]] = []

    def is_compared() -> bool:
        found[:] = comparisons(sandbox)
        return bool(found)

    assert eventually(is_compared)
    (comparison,) = found
    assert comparison["top1_agreement"] == 1  # both versions are the same export
    assert comparison["largest_score_shift"] < 1e-6


def comparisons(sandbox: ProjectSandbox) -> list[dict[str, Any]]:
    """Return what a worker shows, which is nothing before it has read the models file."""
    results = get(sandbox, "/models/digits")[1].get("shadow_results", {})
    found: list[dict[str, Any]] = results.get("canary", {}).get("comparisons", [])
    return found


def test_a_model_is_added_and_removed_and_a_broken_file_changes_nothing(
    sandbox: ProjectSandbox,
) -> None:
    shutil.copytree(DIGITS / "1", sandbox.root / "second" / "1")
    file = sandbox.root / "models.toml"

    assert "the gateway has it" in models(sandbox, "add", "second", str(sandbox.root / "second"))
    live = "model second: version 1 is live"
    assert eventually(lambda: sandbox.log("gateway").count(live) == 2)  # in both workers
    assert get(sandbox, "/readyz?model=second")[0] == 200
    good = file.read_text()
    file.write_text(good + "typo = 1\n")
    assert eventually(lambda: "models.second.typo" in sandbox.call("status").stdout)
    assert eventually(lambda: "models_file_problem" in get(sandbox, "/models")[1])
    assert get(sandbox, "/readyz?model=second")[0] == 200

    file.write_text(DIGITS_TABLE)
    assert eventually(lambda: get(sandbox, "/models/second")[0] == 404)
    # The other worker of the gateway reads the file at a time of its own.
    assert eventually(lambda: get(sandbox, "/readyz")[1]["models"] == ["digits"])


def test_an_unused_version_is_removed(sandbox: ProjectSandbox) -> None:
    assert eventually(lambda: served_versions(sandbox) == [1])
    shutil.copytree(DIGITS / "1", sandbox.root / "digits" / "3")

    told = models(sandbox, "prune", "digits", "--yes", "--keep", "0")

    assert "keeps 1: Serving has it" in told
    names = {path.name for path in (sandbox.root / "digits").iterdir()}
    assert names == {"1", "3"}, told


def served_versions(sandbox: ProjectSandbox) -> list[int]:
    versions = get(sandbox, "/models/digits")[1]["versions"]
    return [entry["version"] for entry in versions if entry["state"] == "AVAILABLE"]
