"""Starts and stops under odd circumstances: closed streams, umask, locks, killed processes."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.processes import parent
from tests.orchestrator.conftest import gone
from tests.orchestrator.project_sandbox import ProjectSandbox
from tests.waiting import eventually


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", [["start"], ["start", "--detach"]])
def test_closed_streams_are_fine(sandbox: ProjectSandbox, closed: str, words: list[str]) -> None:
    command = f"{shlex.join(sandbox.argv(*words))} {closed}"
    shell = subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], env=sandbox.env, cwd="/")

    sandbox.await_ready()

    assert sandbox.call("stop").returncode == 0
    assert shell.wait(timeout=60) == 0
    assert "serving with PID" in sandbox.log("serving")


def test_printed_commands_can_be_pasted(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    sandbox = ProjectSandbox(tmp_path / "a folder").build()
    with sandbox.torn_down():
        started = sandbox.call("start", "--detach").stdout

    sample = next(line for line in started.splitlines() if "flask_sample_request" in line)
    words = shlex.split(sample)
    assert words[0] == f"{tmp_path}/a folder/.venv/bin/python"
    assert words[3] == f"{tmp_path}/a folder/test_images/cat.jpg"


def test_lines_that_the_terminal_cannot_encode_are_written_with_escapes(tmp_path: Path) -> None:
    (tmp_path / "caf\u00e9").mkdir()
    sandbox = ProjectSandbox(tmp_path / "caf\u00e9").build()
    sandbox.env["PYTHONIOENCODING"] = "ascii"
    with sandbox.torn_down():
        started = sandbox.call("start", "--detach").stdout
        logged = sandbox.call("logs", "auto_cmd")

    assert "caf\\xe9/test_images/cat.jpg" in started
    assert "caf\\xe9/test_images/cat.jpg" in logged.stdout
    assert logged.stderr == ""


def test_another_port_while_running_is_an_error(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    asked, port = ProjectSandbox(sandbox.root), sandbox.port

    for words in (["start"], ["start", "--detach"]):
        refused = asked.call(*words)

        assert refused.returncode == 1
        assert f"runs at http://127.0.0.1:{sandbox.serving_port}, not at" in refused.stderr
        assert f"already running: PID {sandbox.status()['pid']}" in refused.stdout
    assert sandbox.status()["children"]["gateway"]["url"] == f"http://127.0.0.1:{port}"


def test_run_folder_and_files_are_the_users_alone(sandbox: ProjectSandbox) -> None:
    run = sandbox.root / ".run"
    (run / "logs").mkdir(parents=True)
    (run / "auto_cmd.lock").touch(0o666)
    (run / "logs" / "gateway.log").touch(0o666)
    for path in (run, run / "logs", run / "auto_cmd.lock"):
        path.chmod(0o777)
    before = os.umask(0)
    try:
        sandbox.call("start", "--detach")
    finally:
        os.umask(before)

    folders = {oct(path.stat().st_mode & 0o777) for path in (run, run / "logs")}
    files = {path: oct(path.stat().st_mode & 0o777) for path in run.rglob("*") if path.is_file()}
    assert folders == {"0o700"}
    assert set(files.values()) == {"0o600"}, files
    assert len(files) >= 6


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_a_foreign_lock_is_no_running_instance(sandbox: ProjectSandbox, kind: int) -> None:
    run = sandbox.root / ".run"
    run.mkdir()
    with (run / "auto_cmd.lock").open("w") as lock:
        fcntl.flock(lock, kind)

        refused = sandbox.call("start")

        assert refused.returncode == 1
        assert f"is locked by PID {os.getpid()} (" in refused.stderr
        assert "already running" not in refused.stdout
    assert sandbox.call("start", "--detach").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
@pytest.mark.parametrize("script", ["flock -s 0", "exec flock -s 0 sh -c 'echo; sleep 60'"])
def test_a_lock_of_another_user_does_not_prevent_a_start(
    sandbox: ProjectSandbox, script: str
) -> None:
    run = sandbox.root / ".run"
    run.mkdir()
    with (run / "auto_cmd.lock").open("w") as lock:
        foreigner = subprocess.Popen(
            ["/bin/sh", "-c", f"{script}; echo; sleep 60"],
            stdin=lock,
            stdout=subprocess.PIPE,
            user=65534,
            cwd="/",
        )
    with foreigner:
        assert foreigner.stdout is not None
        foreigner.stdout.readline()

        started = sandbox.call("start", "--detach")
        foreigner.kill()

    assert started.returncode == 0, started.stderr
    assert sandbox.call("start").stdout.startswith("already running")


def kill_auto_cmd_and_shims(sandbox: ProjectSandbox, children: Sequence[int]) -> None:
    """Kill them so that none has the time to end the children."""
    pids = [sandbox.status()["pid"], *map(parent, children)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    assert eventually(lambda: all(map(gone, pids)))


@pytest.mark.parametrize("words", [["stop"], ["start", "--detach"]])
def test_orphans_are_seen_and_ended(sandbox: ProjectSandbox, words: list[str]) -> None:
    sandbox.call("start", "--detach")
    orphans = [sandbox.pid("serving"), sandbox.pid("gateway")]
    kill_auto_cmd_and_shims(sandbox, orphans)

    said = sandbox.call("status")
    ended = sandbox.call(*words)

    assert said.returncode == 1
    assert all(f"(PID {pid})" in said.stdout for pid in orphans)
    assert ended.returncode == 0, ended.stderr
    assert all(map(gone, orphans))


def test_orphans_that_ignore_term_are_killed_after_the_grace_time(sandbox: ProjectSandbox) -> None:
    sandbox.behave(serving="ignore_term")
    sandbox.call("start", "--detach", "--grace", "0.5")
    serving = sandbox.pid("serving")
    kill_auto_cmd_and_shims(sandbox, [serving, sandbox.pid("gateway")])

    assert sandbox.call("stop").returncode == 0

    assert gone(serving)


def test_stopped_processes_do_not_prevent_a_stop(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach", "--grace", "1")
    children = [sandbox.pid("serving"), sandbox.pid("gateway")]
    for pid in (*map(parent, children), *children, sandbox.status()["pid"]):
        os.kill(pid, signal.SIGSTOP)

    assert sandbox.call("stop").returncode == 0

    assert all(map(gone, children))


def test_a_full_disk_hides_nothing_from_the_commands(sandbox: ProjectSandbox) -> None:
    sandbox.call("start", "--detach")
    (sandbox.root / ".run/auto_cmd.draft").symlink_to("/dev/full")
    serving = sandbox.pid("serving")

    assert sandbox.call("restart", "serving").returncode == 0

    assert sandbox.pid("serving") != serving
    assert not gone(sandbox.pid("serving"))


def test_a_log_that_cannot_be_read_is_named(sandbox: ProjectSandbox) -> None:
    (sandbox.root / ".run/logs/gateway.log").mkdir(parents=True)
    sandbox.behave(gateway="exit")

    failed = sandbox.call("start")

    assert failed.returncode == 1
    assert "gateway.log cannot be read: Is a directory" in failed.stdout
    assert failed.stderr == ""


def test_ready_lines_are_never_missing(sandbox: ProjectSandbox) -> None:
    for _ in range(3):
        assert "ready: " in sandbox.call("start", "--detach").stdout
        sandbox.call("stop")
