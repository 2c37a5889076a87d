"""Run one instance: check ports, run the supervisor, print messages, write the state file."""

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
from orchestrator.leftovers import end_leftovers
from orchestrator.lifecycle import State
from orchestrator.logs import LogPosition, end_of, last_lines
from orchestrator.notify import notify
from orchestrator.ports import port_problem
from orchestrator.processes import identity, parent
from orchestrator.restart_policy import DEFAULT_POLICY, RestartPolicy
from orchestrator.run_dir import RunDir
from orchestrator.supervise import Supervisor

_LAST_LINES = 20
_EXTRA_STOP_S = 20.0
_HOUSEKEEP_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The children of an instance and what to print about them."""

    specs: Sequence[ChildSpec]

    ports: Sequence[tuple[str, int, str]] = ()
    """Host, port and command-line option of every port that a child will listen on."""

    notes: Sequence[str] = ()
    """Lines to print before the start, such as which Serving was chosen and why."""

    ready_lines: Callable[[], Iterable[str]] = tuple
    """Returns the lines to print once all children are ready."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further entries of the state file, which ``status --json`` prints; they may change."""

    housekeep: Callable[[], Iterable[str]] = tuple
    """Called about once a second while the children run; returns messages for the user. After a
    message, the state file is written again."""

    policy: RestartPolicy = DEFAULT_POLICY

    @property
    def stop_s(self) -> float:
        """Longest time of a stop: the grace times of all children and some more."""
        return sum(spec.grace_s for spec in self.specs) + _EXTRA_STOP_S


class Instance:
    """One run of the children, from the check of the ports to the end of the last child."""

    def __init__(self, plan: Plan, run_dir: RunDir, console: Console) -> None:
        self._plan = plan
        self._run_dir = run_dir
        self._console = console
        self._commands = CommandQueue()
        self._announced = False
        self._housekeep_at = 0.0
        self._started = time.time()
        self._began = time.monotonic()
        self._max_restarts = plan.policy.max_restarts
        self._log_starts: dict[str, LogPosition] = {}
        self._supervisor = Supervisor(
            plan.specs,
            next_command=self._commands.get,
            on_change=self._on_change,
            on_step=self._on_step,
            on_notice=self._on_notice,
            launch=self._launch,
            policy=plan.policy,
        )

    def run(self) -> int:
        """Run until every child has ended; return the exit code."""
        report_and_end_leftovers(self._run_dir, self._console)
        check_ports(self._plan)
        for line in self._plan.notes:
            self._console.print(line)
        with signals_as_commands(self._commands, [spec.name for spec in self._plan.specs]):
            try:
                for spec in self._plan.specs:
                    spec.prepare()
                self._write_state()
                read_keyboard(self._commands, self._prompt)
                return self._supervisor.run()
            finally:
                self._run_dir.release()

    def _launch(self, spec: ChildSpec) -> Child:
        self._log_starts[spec.name] = end_of(spec.log)
        return Child(spec)

    def _on_change(self, child: ChildState, before: State) -> None:
        note = f" ({child.note})" if child.note else ""
        self._console.log(f"{child.spec.name}: {before.value} -> {child.state.value}{note}")
        fails_repeatedly = child.state is State.WAITING and child.failures == self._max_restarts
        if fails_repeatedly:
            self._console.log(f"{child.spec.name}: {repeated_failures(child.failures)}")
        if fails_repeatedly or child.state is State.FAILED:
            self._show_log(child)
        self._write_state()
        self._prompt()

    def _on_notice(self, child: ChildState, text: str) -> None:
        self._console.log(f"{child.spec.name}: {text}")
        self._write_state()
        self._prompt()

    def _show_log(self, child: ChildState) -> None:
        log = child.spec.log
        try:
            lines = last_lines(log, _LAST_LINES, self._log_starts.get(child.spec.name))
        except OSError as error:  # such as a log that another user has rotated
            self._console.print(f"{log} cannot be read: {error.strerror}")
            return
        self._console.print(f"the last lines of {log}:" if lines else f"nothing was added to {log}")
        for line in lines:
            self._console.print(f"  {line}")

    def _on_step(self, children: Sequence[ChildState]) -> None:
        if time.monotonic() >= self._housekeep_at:
            self._housekeep_at = time.monotonic() + _HOUSEKEEP_EVERY_S
            self._housekeep()
        if self._announced or self._supervisor.stopping:
            return
        missing = "; ".join(
            str(child.problem)
            for child in children
            if child.state is State.STARTING and child.problem
        )
        if missing:
            self._console.progress(missing, time.monotonic() - self._began)
        if all(child.state is State.READY for child in children):
            self._report_ready()

    def _housekeep(self) -> None:
        try:
            messages = list(self._plan.housekeep())
            for message in messages:
                self._console.log(message)
            if messages:
                self._write_state()
                self._prompt()
        except (OSError, RunDirUnusable) as error:
            self._console.log(str(error))

    def _report_ready(self) -> None:
        for line in self._plan.ready_lines():
            self._console.print(line)
        # Last, since ``start --detach`` prints nothing that comes later.
        self._announced = True
        self._write_state()
        notify("READY=1")
        self._prompt()

    def _prompt(self) -> None:
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
    shim = parent(child.pid) if child.pid else 0
    return {
        "state": child.state.value,
        "pid": child.pid,
        "identity": identity(child.pid) if child.pid else None,
        "shim": {"pid": shim, "identity": identity(shim) if shim else None},
        "grace_s": child.spec.grace_s,
        "url": child.spec.url,
        "log": str(child.spec.log),
        "starts": child.starts,
        "generation": child.generation,
        "restarts_asked": child.restarts_asked,
        "failures": child.failures,
        "last_failure": child.last_failure,
        "busy": child.is_busy,
        "note": child.note,
        "refused": str(child.refused or ""),
        "unready": str(child.unready or ""),
    }


def repeated_failures(failures: int) -> str:
    """Return the sentence about a child that fails again and again."""
    delay = f"up to {DEFAULT_POLICY.max_delay_s:g} s"
    return f"{failures} failures in a row; it is started again for ever, after {delay} each time"


def report_and_end_leftovers(run_dir: RunDir, console: Console) -> None:
    """End the children of an earlier run that was killed."""
    notice = run_dir.stale_notice()
    if notice:
        console.log(notice)
        end_leftovers(run_dir, console)


def check_ports(plan: Plan) -> None:
    """Raise PortTaken if a child could not listen on one of its ports."""
    for host, port, option in plan.ports:
        problem = port_problem(host, port)
        if problem:
            raise PortTaken(f"port {port} on {host} {problem}; choose another with {option}.")
