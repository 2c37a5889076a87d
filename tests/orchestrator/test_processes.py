from __future__ import annotations

import os
import subprocess

from orchestrator.processes import children, command_line, group_is_running, identity
from tests.orchestrator.conftest import eventually


def test_identity_lasts_as_long_as_the_process() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        first = identity(process.pid)

        assert first is not None
        assert identity(process.pid) == first
        process.kill()
    assert identity(process.pid) is None


def test_two_processes_differ_from_their_parent() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        assert identity(process.pid) != identity(os.getpid())

        process.kill()


def test_a_zombie_is_gone() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        eventually(lambda: identity(process.pid) is None)

        assert process.pid not in children(os.getpid())


def test_command_line_of_a_process() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        eventually(lambda: command_line(process.pid) == "/bin/sleep 60")

        assert children(os.getpid()) >= {process.pid}
        process.kill()
    assert command_line(process.pid) is None


def test_a_group_runs_as_long_as_any_member() -> None:
    argv = ["/bin/sh", "-c", "sleep 60 & exit 0"]
    with subprocess.Popen(argv, start_new_session=True) as leader:
        leader.wait()

        assert group_is_running(leader.pid)
        os.killpg(leader.pid, 9)
        eventually(lambda: not group_is_running(leader.pid))
