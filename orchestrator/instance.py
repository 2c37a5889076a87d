"""Run one instance: check, start, watch, report, clean up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.child import Child, ChildSpec
from orchestrator.child_state import ChildState
from orchestrator.command_queue import (
    PROMPT,
    RESTART_SIGNALS,
    CommandQueue,
    read_keyboard,
    signals_as_commands,
)
from orchestrator.console import Console
from orchestrator.errors import PortTaken, RunDirUnusable
from orchestrator.lifecycle import State
from orchestrator.logs import Place, end_of, last_lines
from orchestrator.notify import notify
from orchestrator.ports import problem
from orchestrator.processes import identity
from orchestrator.restart_policy import DEFAULT_POLICY, RestartPolicy
from orchestrator.run_dir import RunDir, is_same_process
from orchestrator.supervise import Supervisor

_LAST_LINES = 20
_PAUSE_S = 0.1
_SPARE_S = 10.0
_TEND_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to start and what to say about it."""

    specs: Sequence[ChildSpec]

    ports: Sequence[tuple[str, int, str]] = ()
    """Host, port and the option that changes it, for every port a child will take."""

    chosen: Sequence[str] = ()
    """Lines said before the start: which programs were taken and why."""

    ready: Callable[[], Iterable[str]] = tuple
    """Gives the lines to say once everything is ready."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """What ``status --json`` shows beside the children."""

    tend: Callable[[], None] = lambda: None
    """Housekeeping done every few seconds while the children run."""

    policy: RestartPolicy = DEFAULT_POLICY

    @property
    def stop_s(self) -> float:
        """How long a stop may take when every child uses its whole grace time."""
        return sum(spec.grace_s for spec in self.specs) + _SPARE_S


class Instance:
    """Writes the state file, speaks, and hands the children to the loop."""

    def __init__(self, plan: Plan, run_dir: RunDir, console: Console) -> None:
        self._plan = plan
        self._run_dir = run_dir
        self._console = console
        self._commands = CommandQueue()
        self._announced = False
        self._tend_at = 0.0
        self._started = time.time()
        self._log_starts: dict[str, Place] = {}
        self._supervisor = Supervisor(
            plan.specs,
            next_command=self._commands.get,
            on_change=self._on_change,
            on_step=self._on_step,
            launch=self._launch,
            policy=plan.policy,
        )

    def run(self) -> int:
        """Stay until every child has ended; return the exit code."""
        clear_the_way(self._plan, self._run_dir, self._console)
        for line in self._plan.chosen:
            self._console.print(line)
        with signals_as_commands(self._commands, [spec.name for spec in self._plan.specs]):
            try:
                self._write_state()
                read_keyboard(self._commands, self._ask)
                return self._supervisor.run()
            finally:
                self._run_dir.release()

    def _launch(self, spec: ChildSpec) -> Child:
        self._log_starts[spec.name] = end_of(spec.log)
        return Child(spec)

    def _on_change(self, child: ChildState, before: State) -> None:
        note = f" ({child.note})" if child.note else ""
        self._console.log(f"{child.spec.name}: {before.value} -> {child.state.value}{note}")
        if child.state is State.FAILED:
            self._show_log(child)
        self._write_state()
        self._ask()

    def _show_log(self, child: ChildState) -> None:
        log = child.spec.log
        lines = last_lines(log, _LAST_LINES, self._log_starts.get(child.spec.name))
        self._console.print(f"the last lines of {log}:" if lines else f"nothing was added to {log}")
        for line in lines:
            self._console.print(f"  {line}")

    def _on_step(self, children: Sequence[ChildState]) -> None:
        if time.monotonic() >= self._tend_at:
            self._tend_at = time.monotonic() + _TEND_EVERY_S
            self._tend()
        if self._announced or self._supervisor.stopping:
            return
        missing = "; ".join(
            child.missing for child in children if child.state is State.STARTING and child.missing
        )
        if missing:
            self._console.progress(missing, time.time() - self._started)
        if all(child.state is State.READY for child in children):
            self._announce()

    def _tend(self) -> None:
        try:
            self._plan.tend()
        except (OSError, RunDirUnusable) as error:
            self._console.log(str(error))

    def _announce(self) -> None:
        self._announced = True
        self._write_state()
        notify("READY=1")
        for line in self._plan.ready():
            self._console.print(line)
        self._ask()

    def _ask(self) -> None:
        if self._announced and os.isatty(0) and not self._supervisor.stopping:
            self._console.prompt(PROMPT)

    def _write_state(self) -> None:
        try:
            self._run_dir.write(self._state())
        except RunDirUnusable as error:  # a full disk must not end the children
            self._console.log(str(error))

    def _state(self) -> dict[str, Any]:
        children = self._supervisor.children
        return {
            "pid": os.getpid(),
            "identity": identity(os.getpid()),
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self._started)),
            "ready": all(child.state is State.READY for child in children),
            "announced": self._announced,
            "stop_s": self._plan.stop_s,
            **self._plan.facts,
            "children": {
                child.spec.name: _record(child) | {"restart_signal": int(number)}
                for child, number in zip(children, RESTART_SIGNALS, strict=False)
            },
        }


def _record(child: ChildState) -> dict[str, Any]:
    return {
        "state": child.state.value,
        "pid": child.pid,
        "identity": identity(child.pid) if child.pid else None,
        "url": child.spec.url,
        "log": str(child.spec.log),
        "starts": child.starts,
        "generation": child.generation,
        "note": child.note,
        "refused": child.refused,
    }


def clear_the_way(plan: Plan, run_dir: RunDir, console: Console) -> None:
    """Wait for what an earlier run has left, then refuse to start on a port that is taken."""
    stale = run_dir.stale()
    if stale:
        console.log(stale)
        _await_leftovers(run_dir, console, plan.stop_s)
    for host, port, option in plan.ports:
        reason = problem(host, port)
        if reason:
            raise PortTaken(f"port {port} on {host} {reason}; choose another with {option}.")


def _await_leftovers(run_dir: RunDir, console: Console, timeout_s: float) -> None:
    children = list((run_dir.read() or {}).get("children", {}).values())
    started = time.monotonic()
    while any(map(is_same_process, children)) and time.monotonic() - started < timeout_s:
        left = ", ".join(f"PID {c['pid']}" for c in children if is_same_process(c))
        console.progress(f"the earlier run's {left} is still ending", time.monotonic() - started)
        time.sleep(_PAUSE_S)
