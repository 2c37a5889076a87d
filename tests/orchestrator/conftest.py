"""Real child processes, each a line of shell, for the tests of the orchestrator."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from orchestrator.child import Child, ChildSpec
from orchestrator.processes import identity
from tests.orchestrator.project_sandbox import ProjectSandbox
from tests.waiting import eventually

#: A line of shell that ignores TERM, as do the processes that it starts.
IGNORES_TERM = 'trap "" TERM; echo up; while :; do sleep 0.1; done'


@pytest.fixture(autouse=True)
def _default_signals() -> Iterator[None]:
    """Give signals their default handlers, also under nohup or after a shell's ``&``."""
    defaults: dict[signal.Signals, Any] = {
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
    }
    before = {number: signal.signal(number, meaning) for number, meaning in defaults.items()}
    yield
    for number, meaning in before.items():
        signal.signal(number, meaning)


class Launch(Protocol):
    def __call__(self, script: str, **spec: Any) -> Child: ...


def nothing_missing() -> None:
    return None


def spec_of(script: str, folder: Path, **fields: Any) -> ChildSpec:
    """Describe a child that runs a line of shell."""
    values: dict[str, Any] = {
        "name": "child",
        "argv": ["/bin/sh", "-c", script],
        "env": {"PATH": "/usr/bin:/bin"},
        "cwd": folder,
        "log": folder / "child.log",
        "ready": nothing_missing,
        "alive": nothing_missing,
        "grace_s": 60.0,
    }
    return ChildSpec(**values | fields)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    started: list[Child] = []

    def start(script: str, **fields: Any) -> Child:
        started.append(Child(spec_of(script, tmp_path, **fields)))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        ended(child)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[ProjectSandbox]:
    """A project with fake servers; nothing of it outlives the test."""
    with ProjectSandbox(tmp_path).build().torn_down() as sandbox:
        yield sandbox


def ended(child: Child) -> int:
    """Wait for the end of a child and return its exit code."""
    assert eventually(lambda: child.poll() is not None)
    code = child.poll()
    assert code is not None
    return code


def gone(pid: int) -> bool:
    """Tell whether a process is gone or a zombie."""
    return identity(pid) is None
