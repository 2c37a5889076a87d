"""A rolling restart of a real gunicorn under load loses no request."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.child import ChildSpec
from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import State
from orchestrator.probe import BackgroundProbe, any_status, ask, missing_200
from orchestrator.processes import children
from orchestrator.restart_policy import RestartPolicy
from orchestrator.supervise import Supervisor
from tests.load import Load
from tests.orchestrator.conftest import spec_of
from tests.running import free_port
from tests.waiting import eventually

pytest.importorskip("gunicorn")

ROLLS = 3
APP = """
import os, time

def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] == "/slow":
        open("begun", "w").close()
        time.sleep(0.5)
    time.sleep(0.01)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def gunicorn(folder: Path, port: int) -> ChildSpec:
    (folder / "tiny.py").write_text(APP)
    options = ["--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "16"]
    options += ["--workers", "2", "--keep-alive", "75", "--no-control-socket"]
    url = f"http://127.0.0.1:{port}/"
    return spec_of(
        "",
        folder,
        name="gateway",
        argv=[sys.executable, "-m", "gunicorn", *options, "tiny:app"],
        env=dict(os.environ),
        ready=lambda: missing_200(url),
        alive=BackgroundProbe(url, accept=any_status, timeout_s=30),
        reloads=True,
    )


class SupervisedGunicorn:
    """A supervisor of one gunicorn that the test steps and sends commands to."""

    def __init__(self, spec: ChildSpec) -> None:
        self._commands: list[Command] = []
        self._supervisor = Supervisor(
            [spec],
            next_command=self._next_command,
            on_change=lambda *_: None,
            policy=RestartPolicy(tick_s=0.02),
        )
        self.gateway = self._supervisor.children[0]

    def _next_command(self, timeout_s: float) -> Command | None:
        time.sleep(timeout_s)
        return self._commands.pop() if self._commands else None

    def until_ready(self, generation: int) -> None:
        """Step until the gateway has become ready ``generation`` times."""
        while self.gateway.generation < generation or self.gateway.state is not State.READY:
            self._supervisor.step()
            assert not self.gateway.state.final

    def send(self, action: Action) -> None:
        """Queue a command for the next step."""
        self._commands.append(Command(action, "gateway"))

    def stop(self) -> int:
        """Ask for a stop and step to the end; return the exit code."""
        self.send(Action.STOP)
        return self._supervisor.run()


@pytest.mark.slow
def test_a_rolling_restart_loses_no_request(tmp_path: Path) -> None:
    port = free_port()
    supervised = SupervisedGunicorn(gunicorn(tmp_path, port))
    supervised.until_ready(1)
    load = Load(port, "/", b"x" * 1000)

    def workers() -> set[bytes]:
        return {response.body for response in load.responses}

    with load.running():
        assert eventually(workers)
        for roll in range(ROLLS):
            supervised.send(Action.RESTART)
            supervised.until_ready(roll + 2)
            new = {b"%d" % pid for pid in children(supervised.gateway.pid)}
            assert eventually(lambda asked=new: workers() & asked)  # type: ignore[misc]

    assert supervised.stop() == 0
    assert supervised.gateway.starts == 1
    assert load.failures() == []


@pytest.mark.slow
def test_a_stop_waits_for_running_requests(tmp_path: Path) -> None:
    port = free_port()
    supervised = SupervisedGunicorn(gunicorn(tmp_path, port))
    supervised.until_ready(1)
    statuses: list[int | None] = []
    url = f"http://127.0.0.1:{port}/slow"
    caller = threading.Thread(target=lambda: statuses.append(ask(url, 60).status))
    caller.start()
    assert eventually((tmp_path / "begun").exists)

    assert supervised.stop() == 0

    caller.join()
    assert statuses == [200]
