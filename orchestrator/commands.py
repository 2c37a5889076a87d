"""The commands of the command line, over one run folder; what to start is handed in as a plan."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from orchestrator.errors import CannotStop
from orchestrator.instance import Instance, Plan
from orchestrator.run_dir import RunDir, is_same_process
from orchestrator.voice import Voice

READY = 0
NOT_READY = 1
NOTHING_RUNS = 3
_PAUSE_S = 0.05
_STATE_S = 5.0


def start(run_dir: RunDir, plan: Callable[[], Plan], voice: Voice) -> int:
    """Run in the foreground; when an instance runs already, say so and be content."""
    if not run_dir.acquire():
        voice.say(f"already running: {_headline(_await_state(run_dir))}")
        return 0
    try:
        return Instance(plan(), run_dir, voice).run()
    finally:
        run_dir.release()


def stop(run_dir: RunDir, voice: Voice, timeout_s: float) -> int:
    """Ask the running instance to end and wait until it has."""
    state = run_dir.running()
    if state is None:
        voice.say(run_dir.stale() or "nothing is running")
        return 0
    _signal(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while is_same_process(state):
        if time.monotonic() > deadline:
            raise CannotStop(f"PID {state['pid']} has not ended after {timeout_s:g} s.")
        time.sleep(_PAUSE_S)
    voice.say(f"stopped PID {state['pid']}")
    return 0


def status(run_dir: RunDir, voice: Voice, *, as_json: bool) -> int:
    """Say what runs: exit code 0 when all is ready, 1 when not all is, 3 if nothing."""
    state = run_dir.running()
    if as_json:
        voice.say(json.dumps({"running": state is not None} | (state or {}), indent=2))
    elif state is None:
        voice.say(run_dir.stale() or "nothing is running")
    else:
        _describe(state, voice)
    if state is None:
        return NOTHING_RUNS
    return READY if state["ready"] else NOT_READY


def _describe(state: dict[str, Any], voice: Voice) -> None:
    voice.say(_headline(state))
    for name, child in state["children"].items():
        restarts = max(0, child["starts"] - 1)
        voice.say(
            f"  {name:8} {child['state']:9} PID {child['pid'] or '-':<8} {child['url']}"
            f"  restarts: {restarts}  log: {child['log']}"
        )


def _headline(state: dict[str, Any] | None) -> str:
    if state is None:
        return "an instance that has not said yet what it does"
    ready = "ready" if state["ready"] else "not ready"
    urls = ", ".join(f"{name} {child['url']}" for name, child in state["children"].items())
    return f"PID {state['pid']} since {state['started_at']}, {ready}: {urls}"


def _await_state(run_dir: RunDir) -> dict[str, Any] | None:
    deadline = time.monotonic() + _STATE_S
    while run_dir.running() is None and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return run_dir.running()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise CannotStop(f"PID {pid} belongs to another user.") from error
