from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from orchestrator.processes import (
    children,
    command_line,
    group_cpu_s,
    group_is_running,
    identity,
    lock_holders,
    parent,
)
from tests.waiting import eventually


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
        assert eventually(lambda: identity(process.pid) is None)

        assert process.pid not in children(os.getpid())


def test_command_line_of_a_process() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        assert eventually(lambda: command_line(process.pid) == "/bin/sleep 60")

        assert children(os.getpid()) >= {process.pid}
        process.kill()
    assert command_line(process.pid) is None


def test_a_group_runs_as_long_as_any_member() -> None:
    argv = ["/bin/sh", "-c", "sleep 60 & exit 0"]
    with subprocess.Popen(argv, start_new_session=True) as leader:
        leader.wait()

        assert group_is_running(leader.pid)
        os.killpg(leader.pid, 9)
        assert eventually(lambda: not group_is_running(leader.pid))


def test_the_cpu_time_of_a_group_has_that_of_its_members_and_of_ended_ones() -> None:
    busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
    argv = ["/bin/sh", "-c", f"({busy}); sleep 60 & sleep 60; exit"]
    with subprocess.Popen(argv, start_new_session=True) as leader:
        assert eventually(lambda: (group_cpu_s(leader.pid) or 0) > 0.05)
        assert eventually(lambda: len(children(leader.pid)) == 2)

        assert (group_cpu_s(leader.pid) or 0) > 0.05
        os.killpg(leader.pid, 9)
    assert eventually(lambda: group_cpu_s(leader.pid) is None)


def test_a_process_has_a_parent_until_it_ends() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        assert parent(process.pid) == os.getpid()

        process.kill()
    assert parent(process.pid) == 0


def test_the_holder_of_a_lock_is_found(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        inode = os.fstat(lock.fileno()).st_ino
        assert lock_holders(inode) == frozenset()

        fcntl.flock(lock, fcntl.LOCK_SH)

        assert lock_holders(inode) == {os.getpid()}
