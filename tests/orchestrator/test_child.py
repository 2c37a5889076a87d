from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.child import _shim_argv
from orchestrator.processes import identity
from orchestrator.shim import end_group
from tests.orchestrator.conftest import IGNORES_TERM, Launch, ended, gone, spec_of
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SUPERVISOR = """
import sys, time
from pathlib import Path
from tests.orchestrator.conftest import spec_of
from orchestrator.child import Child
child = Child(spec_of(sys.argv[1], Path(sys.argv[2]), grace_s=0.5))
print(child.pid, flush=True)
time.sleep(60)
"""


def said(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text(encoding="utf-8")


def grandchild(log: Path) -> int:
    """Return the PID that a child has written into its log."""
    assert eventually(lambda: log.exists() and log.read_text().strip().isdecimal())
    return int(log.read_text())


@pytest.mark.parametrize("code", [0, 1, 3])
def test_exit_code_is_the_childs(launch: Launch, code: int) -> None:
    child = launch(f"exit {code}")

    assert ended(child) == code


def test_a_child_ends_by_term(launch: Launch) -> None:
    child = launch("exec sleep 60")

    child.terminate()

    assert ended(child) == 128 + signal.SIGTERM


@pytest.mark.parametrize("grace_s", [60, 999_999_999])
def test_a_child_that_drains_keeps_its_exit_code(
    launch: Launch, tmp_path: Path, grace_s: float
) -> None:
    script = 'trap "sleep 0.3; exit 7" TERM; echo up; while :; do sleep 0.05; done'
    child = launch(script, grace_s=grace_s)
    assert eventually(lambda: said(tmp_path / "child.log", "up"))

    child.terminate()

    assert ended(child) == 7


def test_a_child_that_ignores_term_is_killed_after_the_grace_time(
    launch: Launch, tmp_path: Path
) -> None:
    child = launch(IGNORES_TERM, grace_s=0.5)
    assert eventually(lambda: said(tmp_path / "child.log", "up"))
    asked = time.monotonic()

    child.terminate()

    assert ended(child) == 128 + signal.SIGKILL
    assert time.monotonic() - asked > 0.4


def test_kill_does_not_wait_for_the_grace_time(launch: Launch, tmp_path: Path) -> None:
    child = launch(IGNORES_TERM, grace_s=60)
    assert eventually(lambda: said(tmp_path / "child.log", "up"))
    child.terminate()

    child.kill()

    assert ended(child) == 128 + signal.SIGKILL


@pytest.mark.parametrize("script", ["sleep 60 & echo $!; wait", "sleep 60 & echo $!; exit 0"])
def test_no_grandchild_outlives_the_child(launch: Launch, tmp_path: Path, script: str) -> None:
    child = launch(script)
    pid = grandchild(tmp_path / "child.log")

    child.terminate()
    ended(child)

    assert gone(pid)


def test_a_killed_childs_grandchild_that_ignores_term_is_ended(
    launch: Launch, tmp_path: Path
) -> None:
    child = launch(f"({IGNORES_TERM}) >/dev/null & echo $!; wait", grace_s=1)
    pid = grandchild(tmp_path / "child.log")

    os.kill(child.pid, signal.SIGKILL)

    assert ended(child) == 128 + signal.SIGKILL
    assert gone(pid)


def test_a_missing_program_is_reported_in_the_log(launch: Launch, tmp_path: Path) -> None:
    child = launch("", argv=["/no/such/program"])

    assert ended(child) == 127
    assert said(tmp_path / "child.log", "/no/such/program cannot be started")


def test_both_outputs_reach_the_log(launch: Launch, tmp_path: Path) -> None:
    child = launch("echo to standard output; echo to standard error >&2")

    ended(child)

    assert said(tmp_path / "child.log", "to standard output\nto standard error\n")


def test_a_full_disk_does_not_disturb_the_child(launch: Launch, tmp_path: Path) -> None:
    (tmp_path / "full.log").symlink_to("/dev/full")

    child = launch("seq 100000; echo >&2; exit 5", log=tmp_path / "full.log")

    assert ended(child) == 5


def test_reload_sends_hup(launch: Launch, tmp_path: Path) -> None:
    child = launch('trap "exit 9" HUP; echo up; while :; do sleep 0.05; done')
    assert eventually(lambda: said(tmp_path / "child.log", "up"))

    child.reload()

    assert ended(child) == 9


@pytest.mark.parametrize("end", ["exit 0", "kill -9 $$"])
def test_the_cleanup_command_runs_however_the_child_ends(
    launch: Launch, tmp_path: Path, end: str
) -> None:
    child = launch(end, cleanup=["/bin/sh", "-c", "echo cleaned up"])

    ended(child)

    assert said(tmp_path / "child.log", "cleaned up")


def test_a_killed_shim_takes_its_child_along(launch: Launch, tmp_path: Path) -> None:
    child = launch("echo $PPID; exec sleep 60")
    shim = grandchild(tmp_path / "child.log")

    os.kill(shim, signal.SIGKILL)

    assert ended(child) == 128 + signal.SIGKILL
    assert gone(child.pid)


@pytest.mark.parametrize("script", ["exec sleep 60", IGNORES_TERM])
def test_a_stopped_shim_does_not_prevent_an_end(
    launch: Launch, tmp_path: Path, script: str
) -> None:
    child = launch(f"echo $PPID; {script}", grace_s=0.5)
    assert eventually(lambda: said(tmp_path / "child.log", "\n"))
    shim = int((tmp_path / "child.log").read_text().split()[0])

    for pid in (shim, child.pid):
        os.kill(pid, signal.SIGSTOP)
    child.terminate()

    ended(child)
    assert gone(child.pid)


def test_a_shim_that_is_stopped_again_is_killed_with_its_child(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.child._SHIM_EXTRA_S", 0.1)
    monkeypatch.setattr("orchestrator.child.LEFTOVERS_S", 0.1)
    child = launch(f"echo $PPID; {IGNORES_TERM}", grace_s=0.5)
    assert eventually(lambda: said(tmp_path / "child.log", "up"))
    shim = int((tmp_path / "child.log").read_text().split()[0])

    child.terminate()
    os.kill(shim, signal.SIGSTOP)

    assert ended(child) == 128 + signal.SIGKILL
    assert gone(child.pid)


@pytest.mark.parametrize("script", ["exec sleep 60", IGNORES_TERM])
def test_no_child_outlives_a_killed_supervisor(tmp_path: Path, script: str) -> None:
    argv = [sys.executable, "-c", SUPERVISOR, script, str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        assert identity(pid) is not None

        supervisor.kill()

    assert eventually(lambda: gone(pid))


def test_no_child_outlives_a_supervisor_killed_before_it_knew_the_pid(tmp_path: Path) -> None:
    spec = spec_of("echo $$ >pid; exec sleep 60", tmp_path)
    reader, childs_output = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [*_shim_argv(spec), "--", *spec.argv],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=childs_output,
        stderr=subprocess.DEVNULL,
    ) as shim:
        os.close(childs_output)
        pid = grandchild(tmp_path / "pid")
        assert shim.stdin is not None
        shim.stdin.close()
        code = shim.wait(60)
        is_gone = gone(pid)
        end_group(pid, signal.SIGKILL)

    assert (code, is_gone) == (128 + signal.SIGTERM, True)
