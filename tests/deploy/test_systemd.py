"""The unit of systemd: how much it restricts the servers, and who they run as.

``make systemd`` also runs the unit in a real systemd.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import systemd
from tests.deploy.systemd import Systemd
from tests.orchestrator.test_documents import UNIT, service
from tests.running import ROOT
from tests.waiting import eventually

SYSUSERS = ROOT / "deploy" / "sysusers.d" / "image-classification-gateway.conf"
MANUAL = ROOT / "docs" / "one_host.md"

DIGIT = ROOT / "test_images" / "digit_3.png"

#: The version whose figure the manual tells.
VERSION = "systemd 252 "

#: The largest exposure that ``systemd-analyze security`` may find, of 10.
MOST_EXPOSED = 3.0


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_the_unit_is_hardly_exposed() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    done = subprocess.run(
        command, env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True, check=False
    )
    if "unrecognized option '--offline" in done.stderr:
        pytest.skip(f"systemd-analyze is too old: {done.stderr}")
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout
    assert float(found[1]) < MOST_EXPOSED
    if version.stdout.startswith(VERSION):
        told = f"{VERSION}gives the unit an exposure level of {found[1]}"
        assert told in " ".join(MANUAL.read_text().split())


def test_code_that_is_compiled_at_run_time_may_run() -> None:
    # OpenVINO and TensorFlow write the code of their operations into memory and run it.
    assert "MemoryDenyWriteExecute" not in service()


def test_the_processes_of_a_reload_see_those_of_the_start() -> None:
    # With PrivateUsers each would have a user namespace of its own, where ProtectProc hides others.
    assert service()["ProtectProc"] == "invisible"
    assert "PrivateUsers" not in service()


@pytest.mark.skipif(
    shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed"
)
def test_the_user_of_the_unit_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    with SYSUSERS.open("rb") as lines:
        subprocess.run(["systemd-sysusers", f"--root={tmp_path}", "-"], stdin=lines, check=True)

    users = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    ((name, _, uid, _, _, home, shell),) = users
    assert name == service()["User"]
    assert 0 < int(uid) < 1000
    assert home == f"/var/lib/{service()['StateDirectory']}"
    assert shell.endswith("nologin")


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    if os.environ.get("SYSTEMD") != "long" or os.geteuid() != 0:
        pytest.skip("make systemd runs it, as root")
    with systemd.running(tmp_path_factory.mktemp("systemd")) as booted:
        yield booted


def label(booted: Systemd) -> str | None:
    answer = booted.predict(DIGIT, "digits")
    return answer["predictions"][0]["label"] if answer and "predictions" in answer else None


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_both_servers_run_with_all_restrictions(booted: Systemd, engine: str) -> None:
    start = service()["ExecStart"]
    booted.use("ExecStart=", f"ExecStart={start} --engine {engine}")

    booted.systemctl("restart")

    assert label(booted) == "3"
    found = booted.processes()
    assert len(found) >= 6  # auto_cmd, two shims, the model server, gunicorn and its worker
    for process in found:
        assert process["Uid"].split()[0] != "0"
        assert process["CapBnd"] == "0000000000000000"
        assert (process["NoNewPrivs"], process["Seccomp"]) == ("1", "2")


def test_a_reload_and_a_killed_model_server_need_no_restart(booted: Systemd) -> None:
    booted.use()
    booted.systemctl("restart")

    booted.systemctl("reload")
    assert label(booted) == "3"
    killed = booted.run("pkill", "-n", "-KILL", "-f", "^/opt/.* -m model_server ")
    assert killed.returncode == 0
    assert eventually(lambda: label(booted) == "3")

    assert "serving: READY -> WAITING" in booted.journal()
    assert booted.show("NRestarts") == "0"


def test_a_stop_ends_every_process_without_an_error(booted: Systemd) -> None:
    booted.systemctl("start")

    booted.systemctl("stop")

    assert (booted.show("Result"), booted.show("ActiveState")) == ("success", "inactive")


def test_the_restrictions_refuse_what_they_should(booted: Systemd) -> None:
    """Root is the user that is refused nothing else."""
    free = booted.attempts("free", "PrivateTmp=true\n")  # the other /tmp is that of the machine
    found = booted.attempts("restricted", systemd.restrictions())

    assert [name for name, allowed in free.items() if not allowed] == []
    assert {name for name, allowed in found.items() if allowed} == {
        *("this host", "processors", "write tmp")
    }
