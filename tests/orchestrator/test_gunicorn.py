"""A rolling restart of a real gunicorn under load: not one request may be lost."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from orchestrator.child import ChildSpec
from orchestrator.inbox import Order, Request
from orchestrator.lifecycle import State
from orchestrator.probe import Patient, at_all, missing_200
from orchestrator.supervise import Supervisor
from orchestrator.watched import Policy
from tests.orchestrator.conftest import spec_of
from tests.orchestrator.house import free_port
from tests.orchestrator.load import Load

pytest.importorskip("gunicorn")

ROLLS = 3
APP = """
import os, time

def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
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
        alive=Patient(url, accept=at_all, timeout_s=30),
        reloads=True,
    )


@pytest.mark.slow
def test_a_rolling_restart_loses_no_request(tmp_path: Path) -> None:
    port = free_port()
    waiting: list[Request] = []
    pause = threading.Event()

    def listen(timeout_s: float) -> Request | None:
        pause.wait(timeout_s)
        return waiting.pop() if waiting else None

    supervisor = Supervisor(
        [gunicorn(tmp_path, port)],
        listen=listen,
        changed=lambda *_: None,
        policy=Policy(tick_s=0.02),
    )
    gateway = supervisor.watched[0]

    def turn_until(generation: int) -> None:
        while gateway.generation < generation or gateway.state is not State.READY:
            supervisor.turn()
            assert not gateway.state.final

    turn_until(1)
    load = Load(port, "/", b"x" * 1000)
    with load.running():
        for roll in range(ROLLS):
            waiting.append(Request(Order.RESTART, "gateway"))
            turn_until(roll + 2)
    waiting.append(Request(Order.STOP))

    assert supervisor.run() == 0
    assert gateway.starts == 1
    assert load.losses == []
    assert {answer.status for answer in load.answers} == {200}
    assert len({answer.body for answer in load.answers}) > ROLLS
