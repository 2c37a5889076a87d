"""A real child that hangs: accepts connections and never answers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.child_state import ChildState
from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import State
from orchestrator.probe import BackgroundProbe, missing_200, status_200
from orchestrator.restart_policy import RestartPolicy
from orchestrator.supervise import Supervisor
from tests.orchestrator.conftest import gone, spec_of
from tests.orchestrator.project_sandbox import FAKE_SERVER, behave
from tests.running import free_port

DEFAULT_POLICY = RestartPolicy(
    tick_s=0.02, probe_every_s=0.05, hang_timeout_s=0.5, initial_delay_s=0.05
)


def hang_by_itself(child: ChildState, folder: Path) -> None:
    behave(folder, serving="hang")


def be_stopped(child: ChildState, folder: Path) -> None:
    os.kill(child.pid, signal.SIGSTOP)


def test_a_busy_child_is_not_killed(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"

    def next_command(timeout_s: float) -> None:
        time.sleep(timeout_s)

    notices: list[str] = []
    supervisor = Supervisor(
        [
            spec_of(
                "",
                tmp_path,
                argv=[sys.executable, "-E", "-S", str(FAKE_SERVER), "--bind", f"127.0.0.1:{port}"],
                ready=lambda: missing_200(url),
                alive=BackgroundProbe(url, accept=status_200, timeout_s=5),
            )
        ],
        next_command=next_command,
        on_change=lambda *_: None,
        on_notice=lambda _, text: notices.append(text),
        # Neighbours may keep the child from the processors for a while.
        policy=replace(DEFAULT_POLICY, hang_timeout_s=2.0),
    )
    child = supervisor.children[0]
    while child.state is not State.READY:
        supervisor.step()
    behave(tmp_path, serving="busy")

    while "not ended" not in str(notices):
        supervisor.step()
    for _ in range(100):
        supervisor.step()

    assert (child.state, child.starts) == (State.READY, 1)
    behave(tmp_path)
    while "answers again" not in notices[-1]:
        supervisor.step()
    supervisor.stopping = True
    assert supervisor.run() == 0


@pytest.mark.parametrize("hang", [hang_by_itself, be_stopped])
def test_a_hung_child_is_killed_and_started_again(
    tmp_path: Path, hang: Callable[[ChildState, Path], None]
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    commands: list[Command] = []

    def next_command(timeout_s: float) -> Command | None:
        time.sleep(timeout_s)
        return commands.pop() if commands else None

    spec = spec_of(
        "",
        tmp_path,
        argv=[sys.executable, "-E", "-S", str(FAKE_SERVER), "--bind", f"127.0.0.1:{port}"],
        ready=lambda: missing_200(url),
        alive=BackgroundProbe(url, accept=status_200, timeout_s=5),
    )
    supervisor = Supervisor(
        [spec], next_command=next_command, on_change=lambda *_: None, policy=DEFAULT_POLICY
    )
    child = supervisor.children[0]

    def turn_until(state: State, starts: int) -> None:
        while (child.state, child.starts) != (state, starts):
            supervisor.step()
            assert not child.state.final

    turn_until(State.READY, 1)
    first = child.pid
    hang(child, tmp_path)
    turn_until(State.WAITING, 1)
    behave(tmp_path)
    turn_until(State.READY, 2)
    commands.append(Command(Action.STOP))

    assert supervisor.run() == 0
    assert gone(first)
