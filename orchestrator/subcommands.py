"""The commands start, stop, restart, status and logs, for the instance of one run folder."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from orchestrator.console import Console
from orchestrator.errors import (
    AlreadyRunning,
    CannotStop,
    NotRunning,
    RestartFailed,
    RestartRefused,
    UsageError,
)
from orchestrator.instance import Instance, Plan, repeated_failures
from orchestrator.leftovers import end_leftovers, named
from orchestrator.lifecycle import State
from orchestrator.logs import Tail
from orchestrator.run_dir import RunDir, is_same_process

READY = 0
NOT_READY = 1
NOTHING_RUNS = 3
_PAUSE_S = 0.05
_STATE_S = 5.0
_STARTING_S = 60.0
_QUIET_S = 2.0
_FOLLOW_S = 0.2

UnusableModels = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""Returns the models of a running instance that cannot be used, with the reason of each."""


def start(run_dir: RunDir, plan: Callable[[], Plan], console: Console) -> int:
    """Run an instance until it ends; if one runs already, report it and return 0."""
    if not run_dir.acquire():
        return already_running(run_dir, plan(), console)
    try:
        return Instance(plan(), run_dir, console).run()
    finally:
        run_dir.release()


def already_running(run_dir: RunDir, plan: Plan, console: Console) -> int:
    """Report the running instance; return 0 if its servers have the addresses of the plan.

    Raises AlreadyRunning otherwise.
    """
    state = _await_state(run_dir)
    console.print(f"already running: {_headline(state)}")
    children = state["children"] if state else {}
    for spec in plan.specs:
        url = children.get(spec.name, {}).get("url", spec.url)
        if url != spec.url:
            raise AlreadyRunning(
                f"{spec.name} runs at {url}, not at {spec.url}; stop this instance first, or give "
                "the other one a folder of its own with --run-dir."
            )
    return 0


def stop(run_dir: RunDir, console: Console) -> int:
    """Stop the running or starting instance and wait for its end."""
    state = run_dir.running() or run_dir.starting()
    if state is None:
        return _stop_leftovers(run_dir, console)
    _signal(state["pid"], signal.SIGTERM)
    _signal(state["pid"], signal.SIGCONT)  # a stopped process would not end
    started = time.monotonic()
    stop_s = state.get("stop_s", _STARTING_S)
    while is_same_process(state):
        elapsed_s = time.monotonic() - started
        if elapsed_s > stop_s:
            raise CannotStop(f"PID {state['pid']} has not ended after {stop_s:g} s.")
        if elapsed_s > _QUIET_S:
            console.progress(f"PID {state['pid']} is finishing its requests", elapsed_s)
        time.sleep(_PAUSE_S)
    console.print(f"stopped PID {state['pid']}")
    return 0


def _stop_leftovers(run_dir: RunDir, console: Console) -> int:
    console.print(run_dir.stale_notice() or "nothing is running")
    left = run_dir.leftovers()
    if not left:
        return 0
    if not end_leftovers(run_dir, console):
        raise CannotStop(f"the earlier run's {named(left)} has not ended.")
    console.print(f"stopped {named(left)}")
    return 0


def restart(
    run_dir: RunDir,
    name: str | None,
    console: Console,
    *,
    command: str,
    unusable_models: UnusableModels = lambda _: {},
) -> int:
    """Restart one child, or all one after the other; wait until each is ready again.

    ``command`` is what messages tell the user to run.
    """
    state = run_dir.running()
    if state is None:
        raise NotRunning("nothing is running, so there is nothing to restart.")
    for child in list(state["children"]) if name is None else [name]:
        if child not in state["children"]:
            known = ", ".join(state["children"])
            raise UsageError(f"{child} is not one of the running children; allowed is {known}.")
        _restart(run_dir, child)
        console.print(f"{child} was restarted and is ready")
    _warn(unusable_models(run_dir.running() or state), command, console)
    return 0


def _warn(models: Mapping[str, str], command: str, console: Console) -> None:
    for name, reason in models.items():
        console.print(f"warning: model {name} is not ready: {reason} (try: {command} doctor)")


def _restart(run_dir: RunDir, name: str) -> None:
    before = _running_child(run_dir, name)
    _signal(before["of"], before["restart_signal"])
    _signal(before["of"], signal.SIGCONT)  # a stopped process would not restart it
    now = before
    while not _is_done(before, now):
        time.sleep(_PAUSE_S)
        now = _running_child(run_dir, name)
    if refused := now["refused"]:
        raise RestartRefused(f"{name} was not restarted and runs on unchanged: {refused}")
    if unready := now["unready"]:
        raise RestartFailed(f"{name} was restarted and answers, but it is not ready: {unready}")


def _is_done(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether a restart has ended, or raise RestartFailed."""
    if now["restarts_asked"] == before["restarts_asked"]:
        return False
    # A single failure may be bad luck, and the child is being started again.
    if now["failures"] > 1 or (now["failures"] and now["state"] == State.RECYCLING.value):
        raise RestartFailed(
            f"{now['name']} did not become ready again and is started again and again: "
            f"{now['last_failure']}; its log says more: {now['log']}"
        )
    is_new = now["generation"] != before["generation"] and now["state"] == State.READY.value
    return is_new or bool(now["refused"])


def _running_child(run_dir: RunDir, name: str) -> dict[str, Any]:
    """Return the record of a child, with its name and, as ``of``, the PID of its instance."""
    state = run_dir.running()
    if state is None:
        raise RestartFailed(
            f"{name} did not become ready again; the last lines of its log say why."
        )
    return dict(state["children"][name]) | {"of": state["pid"], "name": name}


def status(
    run_dir: RunDir,
    console: Console,
    *,
    as_json: bool,
    command: str,
    unusable_models: UnusableModels = lambda _: {},
) -> int:
    """Print what runs; return 0 if all is ready, 1 if not, 3 if nothing runs.

    ``command`` is what messages tell the user to run.
    """
    state = run_dir.running()
    left = run_dir.leftovers() if state is None else {}
    models = unusable_models(state) if state else {}
    if as_json:
        extra = ({"leftovers": left} if left else {}) | (
            {"unusable_models": models} if state else {}
        )
        document = {"running": state is not None} | (state or {}) | extra
        console.print(json.dumps(document, indent=2))
    elif state is None:
        console.print(run_dir.stale_notice() or "nothing is running")
    else:
        _describe(state, console)
        _warn(models, command, console)
        if problem := state.get("models_file_problem"):
            console.print(f"warning: the changed models file is not used: {problem}")
    if left and not as_json:
        console.print(f"  still running: {named(left)}; {command} stop ends it")
    if state is None:
        return NOT_READY if left else NOTHING_RUNS
    return READY if state["ready"] else NOT_READY


def show_logs(run_dir: RunDir, names: Sequence[str], count: int, *, follow: bool) -> int:
    """Print the last lines of the logs; with ``follow`` also new lines, until Ctrl-C."""
    signal.signal(
        signal.SIGPIPE, signal.SIG_DFL
    )  # so that ``logs | head`` ends without a traceback
    width = max(map(len, names)) if len(names) > 1 else 0
    with ExitStack() as stack:
        tails = {name: stack.enter_context(Tail(run_dir.log(name), count)) for name in names}
        stack.enter_context(suppress(KeyboardInterrupt))
        _print_new(tails, width)
        while follow:
            time.sleep(_FOLLOW_S)
            _print_new(tails, width)
    return 0


def _print_new(tails: Mapping[str, Tail], width: int) -> None:
    for name, tail in tails.items():
        prefix = f"{name:{width}} | " if width else ""
        sys.stdout.writelines(f"{prefix}{line}\n" for line in tail.lines())
    sys.stdout.flush()


def _describe(state: dict[str, Any], console: Console) -> None:
    console.print(_headline(state))
    for name, child in state["children"].items():
        restarts = max(0, child["starts"] - 1)
        console.print(
            f"  {name:8} {child['state']:9} PID {child['pid'] or '-':<8} {child['url']}"
            f"  restarts: {restarts}  log: {child['log']}"
        )
        if child["failures"] and child["state"] != State.READY.value:
            console.print(f"    {repeated_failures(child['failures'])}: {child['last_failure']}")
        if child["busy"]:
            console.print("    does not answer now, but uses CPU time, so it is not ended")
        if child["unready"]:
            console.print(f"    was not ready at the last restart: {child['unready']}")


def _headline(state: dict[str, Any] | None) -> str:
    if state is None:
        return "an instance that has not written its state yet"
    ready = "ready" if state["ready"] else "not ready"
    urls = ", ".join(f"{name} {child['url']}" for name, child in state["children"].items())
    return f"PID {state['pid']} since {state['started_at']}, {ready}: {urls}"


def _await_state(run_dir: RunDir) -> dict[str, Any] | None:
    deadline = time.monotonic() + _STATE_S
    while run_dir.running() is None and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
    return run_dir.running()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise CannotStop(f"PID {pid} belongs to another user.") from error
