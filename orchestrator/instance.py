"""Run one instance in the foreground: check, start, watch, report, clean up."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.child import ChildSpec
from orchestrator.errors import PortTaken
from orchestrator.inbox import PROMPT, RESTART_SIGNALS, Inbox, read_words, signals_post_to
from orchestrator.lifecycle import State
from orchestrator.logs import last_lines
from orchestrator.ports import problem
from orchestrator.processes import identity
from orchestrator.run_dir import RunDir, is_same_process
from orchestrator.supervise import Supervisor
from orchestrator.voice import Voice
from orchestrator.watched import POLICY, Policy, Watched

_LAST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to start and what to say about it."""

    specs: Sequence[ChildSpec]

    ports: Sequence[tuple[str, int, str]] = ()
    """Host, port and the option that changes it, for every port a child will take."""

    chosen: Sequence[str] = ()
    """Lines said before the start: which programs were taken and why."""

    ready: Sequence[str] = ()
    """Lines said once everything is ready."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What ``status --json`` shows beside the children."""

    policy: Policy = POLICY


class Instance:
    """The running instance: writes the state file, speaks, and hands the children to the loop."""

    def __init__(self, plan: Plan, run_dir: RunDir, voice: Voice) -> None:
        self._plan = plan
        self._run_dir = run_dir
        self._voice = voice
        self._inbox = Inbox()
        self._was_ready = False
        self._started = time.time()
        self._supervisor = Supervisor(
            plan.specs,
            listen=self._inbox.listen,
            changed=self._changed,
            turned=self._turned,
            policy=plan.policy,
        )

    def run(self) -> int:
        """Stay until every child has ended; return the exit code."""
        self._clear_the_way()
        for line in self._plan.chosen:
            self._voice.say(line)
        with signals_post_to(self._inbox, [spec.name for spec in self._plan.specs]):
            self._write_state()
            read_words(self._inbox, self._ask)
            return self._supervisor.run()

    def _clear_the_way(self) -> None:
        """Wait for what an earlier run has left, then refuse to start on a port that is taken."""
        stale = self._run_dir.stale()
        if stale:
            self._voice.log(stale)
            self._await_leftovers()
        for host, port, option in self._plan.ports:
            reason = problem(host, port)
            if reason:
                raise PortTaken(f"port {port} on {host} {reason}; choose another with {option}.")

    def _await_leftovers(self) -> None:
        state = self._run_dir.read() or {}
        children = list(state.get("children", {}).values())
        deadline = (
            time.monotonic() + max((spec.grace_s for spec in self._plan.specs), default=0) + 5
        )
        while any(map(is_same_process, children)) and time.monotonic() < deadline:
            self._voice.progress("waiting for the processes of the earlier run to end")
            time.sleep(0.1)

    def _changed(self, w: Watched, before: State) -> None:
        note = f" ({w.note})" if w.note else ""
        self._voice.log(f"{w.spec.name}: {before.value} -> {w.state.value}{note}")
        if w.state is State.FAILED:
            self._show_log(w)
        self._write_state()
        self._ask()

    def _show_log(self, w: Watched) -> None:
        lines = last_lines(w.spec.log, _LAST_LINES)
        self._voice.say(f"the last lines of {w.spec.log}:" if lines else f"{w.spec.log} is empty")
        for line in lines:
            self._voice.say(f"  {line}")

    def _turned(self, watched: Sequence[Watched]) -> None:
        if all(w.state is State.READY for w in watched):
            if not self._was_ready:
                self._announce()
            return
        missing = "; ".join(w.missing for w in watched if w.missing and w.state.running)
        elapsed_s = time.time() - self._started
        if not self._was_ready and missing:
            self._voice.progress(f"{elapsed_s:.0f} s: {missing}")

    def _announce(self) -> None:
        self._was_ready = True
        self._write_state()
        for line in self._plan.ready:
            self._voice.say(line)
        self._ask()

    def _ask(self) -> None:
        if self._was_ready and os.isatty(0) and not self._supervisor.stopping:
            self._voice.ask(PROMPT)

    def _write_state(self) -> None:
        watched = self._supervisor.watched
        state = {
            "pid": os.getpid(),
            "identity": identity(os.getpid()),
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self._started)),
            "ready": all(w.state is State.READY for w in watched),
            "announced": self._was_ready,
            **self._plan.facts,
            "children": {
                w.spec.name: _record(w) | {"restart_signal": int(number)}
                for w, number in zip(watched, RESTART_SIGNALS, strict=False)
            },
        }
        try:
            self._run_dir.write(state)
        except OSError as error:
            self._voice.log(f"the state file cannot be written: {error}")


def _record(w: Watched) -> dict[str, Any]:
    return {
        "state": w.state.value,
        "pid": w.pid,
        "identity": identity(w.pid) if w.pid else None,
        "url": w.spec.url,
        "log": str(w.spec.log),
        "starts": w.starts,
        "note": w.note,
    }
