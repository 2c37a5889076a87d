"""Fifty starts and stops of an instance with real processes must leave nothing behind."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.console import Console
from orchestrator.instance import Plan
from orchestrator.ports import port_problem
from orchestrator.probe import missing_200
from orchestrator.processes import children
from orchestrator.restart_policy import RestartPolicy
from orchestrator.run_dir import RunDir
from orchestrator.subcommands import start
from tests.orchestrator.conftest import nothing_missing, spec_of
from tests.running import free_port
from tests.waiting import eventually

RUNS = 50
BUSY = RestartPolicy(tick_s=0.01, startup_probe_every_s=0.02)
#: A server in a line of Python, so that it starts in a few milliseconds.
ANSWER = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "while c := s.accept()[0]: c.recv(999); c.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\n'); c.close()"
)


class StopsWhenReady(Console):
    """Sends TERM to this process as soon as everything is ready."""

    def print(self, line: str) -> None:
        super().print(line)
        if line == "ready":
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def _no_keyboard() -> Iterator[None]:
    """Replace standard input, which may be the terminal of the user who runs the tests."""
    before = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    yield
    os.dup2(before, 0)
    os.close(before)
    os.close(nothing)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def plan(folder: Path, port: int) -> Plan:
    url = f"http://127.0.0.1:{port}/"
    listener = [sys.executable, "-I", "-S", "-c", ANSWER, str(port)]
    gateway = spec_of(
        "", folder, name="gateway", argv=listener, ready=lambda: missing_200(url), url=url
    )
    serving = spec_of("exec sleep 60", folder, name="serving", ready=nothing_missing)
    return Plan(
        specs=[serving, gateway],
        ports=[("127.0.0.1", port, "--port")],
        ready_lines=lambda: ["ready"],
        policy=BUSY,
    )


@pytest.mark.usefixtures("_no_keyboard")
def test_fifty_runs_leave_no_process_no_file_and_no_port(tmp_path: Path) -> None:
    port = free_port()
    run_dir = RunDir(tmp_path / "run")
    files, processes = open_files(), children(os.getpid())

    for _ in range(RUNS):
        stream = io.StringIO()
        assert start(run_dir, lambda: plan(tmp_path, port), StopsWhenReady(stream)) == 0
        assert "ready" in stream.getvalue()

    assert eventually(lambda: open_files() <= files)
    assert children(os.getpid()) == processes
    assert port_problem("127.0.0.1", port) is None
    assert run_dir.read() is None
