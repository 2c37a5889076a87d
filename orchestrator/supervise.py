"""The supervisor: start, probe, restart and stop a list of child processes.

All decisions about children are made here, in one loop. A child that fails before it was ever ready
ends the start, and with it the other children. From then on, no failure of one child ends another:
a failed child is started again for ever, after a delay that grows up to a limit.

The functions that start processes, run checks, deliver commands and read the clock are parameters,
so that tests run without real processes and real time. Children are stopped from the last to the
first, each after the one before it has ended: the gateway, which comes last, finishes its requests
while Serving still answers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from orchestrator.check import Check, Checking
from orchestrator.child import Child, ChildSpec
from orchestrator.child_state import ChildProcess, ChildState
from orchestrator.command_queue import Action, Command
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Event, State, advance
from orchestrator.problem import Problem
from orchestrator.restart_policy import DEFAULT_POLICY, RestartPolicy
from orchestrator.shim import CANNOT_START

EXIT_STOPPED = 0
EXIT_CHILD_FAILED = 1
_SIGNAL_BASE = 128
_MAX_SIGNAL = 64


class Supervisor:
    """Runs the children until every one of them has stopped or failed."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        next_command: Callable[[float], Command | None],
        on_change: Callable[[ChildState, State], None],
        on_step: Callable[[Sequence[ChildState]], None] = lambda _: None,
        on_notice: Callable[[ChildState, str], None] = lambda *_: None,
        launch: Callable[[ChildSpec], ChildProcess] = Child,
        check: Callable[[ChildSpec], Checking] = Check,
        clock: Callable[[], float] = time.monotonic,
        policy: RestartPolicy = DEFAULT_POLICY,
    ) -> None:
        """Take the children in the order of their start.

        ``next_command`` waits at most the given seconds for a command; ``on_change`` gets a child
        and its previous state; ``on_step`` gets all children whenever they have been checked;
        ``on_notice`` gets a child and a message about it that is no change of state.
        """
        self._policy = policy
        self._next_command = next_command
        self._on_change = on_change
        self._on_step = on_step
        self._on_notice = on_notice
        self._launch = launch
        self._check = check
        self._clock = clock
        self.stopping = False
        self.children = [ChildState(spec, clock()) for spec in specs]

    def run(self) -> int:
        """Step until every child is in a final state; return the exit code."""
        while not all(child.state.final for child in self.children):
            self.step()
        failed = any(child.state is State.FAILED for child in self.children)
        return EXIT_CHILD_FAILED if failed else EXIT_STOPPED

    def step(self) -> None:
        """Check every child once, then wait at most one tick for a command and handle it."""
        for child in self.children:
            event = self._next_event(child)
            if event is not None:
                self._apply(child, event)
        self._on_step(self.children)
        command = self._next_command(self._policy.tick_s)
        if command is not None:
            self._handle(command)

    def _handle(self, command: Command) -> None:
        force = self.stopping and command.action is Action.INTERRUPT
        if command.action is not Action.RESTART and not force:
            self.stopping = True
            return
        for child in self.children:
            event = self._commanded_event(child, command)
            if event is not None and not child.state.final:
                self._apply(child, event)

    def _commanded_event(self, child: ChildState, command: Command) -> Event | None:
        if command.action is Action.INTERRUPT:
            return Event.FORCE_STOP
        if command.child != child.spec.name or self.stopping:
            return None
        child.restarts_asked += 1
        if child.state is State.RELOADING:  # a reload reads the current configuration
            return None
        child.refused = child.spec.refuse()
        if child.refused:
            self._on_notice(child, f"not restarted: {child.refused}")
            return None
        child.failures = 0
        child.start_at = self._clock()
        if child.spec.reloads and child.state is State.READY:
            return Event.RELOAD
        return Event.RESTART

    def _next_event(self, child: ChildState) -> Event | None:
        if child.state.final:
            return None
        if self.stopping and child.state is not State.STOPPING and self._may_stop(child):
            return Event.STOP
        if child.state is State.WAITING:
            due = self._clock() >= child.start_at and not self.stopping
            return Event.STARTED if due else None
        code = child.process.poll() if child.process else CANNOT_START
        if code is not None:
            return self._exit_event(child, code)
        if child.state in {State.RECYCLING, State.STOPPING}:
            return None
        return self._check_event(child, child.check) if child.check else self._probe_event(child)

    def _may_stop(self, child: ChildState) -> bool:
        """Tell whether all children that come later in the list have ended."""
        later = self.children[self.children.index(child) + 1 :]
        return all(other.state.final for other in later)

    def _exit_event(self, child: ChildState, code: int) -> Event:
        child.note = exit_text(code)
        if child.state is State.STOPPING:
            return Event.EXITED
        if child.state is not State.RECYCLING:
            self._count_failure(child)
        return Event.GAVE_UP if self._start_has_failed(child, code) else Event.EXITED

    def _start_has_failed(self, child: ChildState, code: int) -> bool:
        """Tell whether a child that ended was never ready, and another attempt would not help."""
        if child.was_ready or not child.failures:
            return False
        killed_by_others = by_signal(code) and child.state is not State.RECYCLING
        if not killed_by_others:
            child.note += " before it was ever ready"
            return True
        if child.failures > self._policy.max_restarts:
            child.note += f"; {self._policy.max_restarts} restarts did not help"
            return True
        return False

    def _check_event(self, child: ChildState, check: Checking) -> Event | None:
        """Reload once the check has passed; refuse the reload when it has failed."""
        result = check.poll()
        if result is None:
            return None
        child.check, child.refused = None, result.problem
        if result.problem:
            child.note = f"not restarted: {result.problem}"
            return Event.RELOAD_REFUSED
        if child.process:
            self._prepare(child)
            child.process.reload()
        return None

    def _prepare(self, child: ChildState) -> None:
        try:
            child.spec.prepare()
        except (OSError, OrchestratorError) as error:  # it goes on with the files of before
            self._on_notice(child, str(error))

    def _probe_event(self, child: ChildState) -> Event | None:
        if self._clock() < child.probe_at:
            return None
        child.problem = self._probe(child)
        now = self._clock()
        ready = child.state is State.READY
        policy = self._policy
        child.probe_at = now + (policy.probe_every_s if ready else policy.startup_probe_every_s)
        if child.problem:
            return self._timeout_event(child, now)
        self._note_answer(child, now)
        if not ready:
            child.unready = None
            child.note = f"after {now - child.since:.1f} s"
            return Event.BECAME_READY
        if now - child.since >= policy.reset_after_s:
            child.failures, child.last_failure = 0, ""
        return None

    def _note_answer(self, child: ChildState, now: float) -> None:
        if child.is_busy:
            self._on_notice(child, f"answers again after {self._silent_s(child):.0f} s")
        child.answered_at = child.progress_at = now
        child.cpu_mark, child.is_busy = None, False

    def _probe(self, child: ChildState) -> Problem | None:
        try:
            return self._asked(child)
        except (OSError, OrchestratorError) as error:  # such as a full disk or a vanished folder
            return Problem(str(error))

    def _asked(self, child: ChildState) -> Problem | None:
        if child.state is State.READY:
            return child.spec.alive()
        if child.state is State.RELOADING and child.process and not child.process.reloaded():
            return Problem("workers are being replaced")
        return child.spec.ready()

    def _timeout_event(self, child: ChildState, now: float) -> Event | None:
        if child.state is State.READY:
            if not self._is_hung(child, now):
                return None
            return self._failure(
                child, Event.HUNG, f"no response for {self._silent_s(child):.0f} s"
            )
        waited_s = now - child.since
        if waited_s <= self._policy.start_timeout_s:
            return None
        if child.was_ready:
            if child.spec.alive() is None:  # it serves what it can, so it is not ended
                self._note_answer(child, now)
                child.unready = child.problem
                child.note = f"after {waited_s:.0f} s, though {child.problem}"
                return Event.BECAME_READY
            if not self._is_hung(child, now):
                return None
        return self._failure(child, Event.START_TIMEOUT, f"not ready after {waited_s:.0f} s")

    def _is_hung(self, child: ChildState, now: float) -> bool:
        """Tell whether the child has neither answered nor used CPU time for ``hang_timeout_s``.

        A busy child is late to answer. Where CPU times are unknown, silence alone counts.
        """
        limit_s = self._policy.hang_timeout_s
        used_s = child.process.cpu_s() if child.process else None
        if _makes_progress(child.cpu_mark, used_s, limit_s * self._policy.busy_share):
            child.cpu_mark, child.progress_at = used_s, now
        if now - child.progress_at > limit_s:
            return True
        silent_s = self._silent_s(child)
        if silent_s > limit_s and child.state is State.READY and not child.is_busy:
            child.is_busy = True
            text = f"no response for {silent_s:.0f} s; it uses CPU time, so it is not ended"
            self._on_notice(child, f"{text}: {child.problem}")
        return False

    def _silent_s(self, child: ChildState) -> float:
        return self._clock() - child.answered_at

    def _failure(self, child: ChildState, event: Event, text: str) -> Event:
        child.note = f"{text}: {child.problem}"
        self._count_failure(child)
        return event

    def _count_failure(self, child: ChildState) -> None:
        child.failures += 1
        child.last_failure = child.note

    def _apply(self, child: ChildState, event: Event) -> None:
        """Move the child to its next state, act on its process, report the change."""
        before = child.state
        child.state = advance(before, event)
        now = self._clock()
        if child.state is State.WAITING and event is Event.EXITED:
            self._schedule_start(child, now)
        self._act(child, event)
        if child.check and child.state is not State.RELOADING:
            child.check.end()
            child.check = None
        if child.state is not before:
            child.since = now
            self._on_change(child, before)
            child.note = ""

    def _schedule_start(self, child: ChildState, now: float) -> None:
        delay_s = self._policy.delay_s(child.failures)
        child.start_at = now + delay_s
        if child.failures:
            child.note += f"; restart {child.failures} in {delay_s:g} s"

    def _act(self, child: ChildState, event: Event) -> None:
        if child.state is State.STARTING:
            self._start(child)
        elif child.state is State.READY:
            child.was_ready = True
            child.generation += 1
        elif child.state is State.FAILED:
            self.stopping = True
        elif child.process and event in {Event.FORCE_STOP, Event.HUNG}:
            child.process.kill()
        elif event is Event.RELOAD:
            child.check = self._check(child.spec)
        elif child.process and child.state.running:
            child.process.terminate()
        if not child.state.running:
            child.process = None

    def _start(self, child: ChildState) -> None:
        child.starts += 1
        child.probe_at = child.progress_at = self._clock()
        child.cpu_mark, child.is_busy = None, False
        self._prepare(child)
        try:
            child.process = self._launch(child.spec)
        except OSError as error:
            child.note = str(error)


def _makes_progress(mark_s: float | None, used_s: float | None, wanted_s: float) -> bool:
    """Tell whether enough CPU time was used since the mark; a first measurement counts as progress.

    Less than at the mark means that processes of the child have been replaced.
    """
    if used_s is None:
        return False
    return mark_s is None or used_s < mark_s or used_s - mark_s >= wanted_s


def by_signal(code: int) -> bool:
    """Tell whether an exit code says that a signal ended the process; 255 does not."""
    return _SIGNAL_BASE < code <= _SIGNAL_BASE + _MAX_SIGNAL


def exit_text(code: int) -> str:
    """Return an exit code in words, with the name of the signal that ended the process."""
    names = {number.value: number.name for number in signal.Signals}
    name = names.get(code - _SIGNAL_BASE)
    return f"exit code {code}, {name}" if name else f"exit code {code}"
