"""Keep a few children running: look, move, act.

The loop is the only place that decides. Launching, listening and the clock are handed in, so a test
can replay a story on paper. The last child of the list is the first to be stopped: what stands in
front of the others drains before they go.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from orchestrator.check import Check, Checking
from orchestrator.child import Child, ChildSpec
from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import Event, State, advance
from orchestrator.watched import POLICY, Policy, Running, Watched

BY_A_PERSON = 0
A_CHILD_FAILED = 1
CANNOT_START = 127
KILLED = 128
_SIGNALS = 64


class Supervisor:
    """The loop over the children."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        next_command: Callable[[float], Command | None],
        changed: Callable[[Watched, State], None],
        turned: Callable[[Sequence[Watched]], None] = lambda _: None,
        launch: Callable[[ChildSpec], Running] = Child,
        check: Callable[[ChildSpec], Checking] = Check,
        clock: Callable[[], float] = time.monotonic,
        policy: Policy = POLICY,
    ) -> None:
        self._policy = policy
        self._next_command = next_command
        self._changed = changed
        self._turned = turned
        self._launch = launch
        self._check = check
        self._clock = clock
        self.stopping = False
        self.watched = [Watched(spec, clock()) for spec in specs]

    def run(self) -> int:
        """Turn until every child is in a final state; return the exit code."""
        while not all(w.state.final for w in self.watched):
            self.turn()
        return A_CHILD_FAILED if any(w.state is State.FAILED for w in self.watched) else BY_A_PERSON

    def turn(self) -> None:
        """Look at every child once, then listen for one tick and obey."""
        for w in self.watched:
            event = self._look(w)
            if event is not None:
                self._move(w, event)
        self._turned(self.watched)
        command = self._next_command(self._policy.tick_s)
        if command is not None:
            self._obey(command)

    def _obey(self, command: Command) -> None:
        hurry = self.stopping and command.action is Action.INTERRUPT
        if command.action is not Action.RESTART and not hurry:
            self.stopping = True
            return
        for w in self.watched:
            event = self._wish(w, command)
            if event is not None and not w.state.final:
                self._move(w, event)

    def _wish(self, w: Watched, command: Command) -> Event | None:
        if command.action is Action.INTERRUPT:
            return Event.HURRY
        if command.child != w.spec.name or self.stopping or w.state is State.RELOADING:
            return None
        w.failures = 0
        w.refused = ""
        w.due = self._clock()
        if w.spec.reloads and w.state is State.READY:
            return Event.RELOAD
        w.was_ready = False  # what now fails before it is ready will fail again
        return Event.RECYCLE

    def _look(self, w: Watched) -> Event | None:
        if w.state.final:
            return None
        if self.stopping and w.state is not State.STOPPING and self._drained_before(w):
            return Event.STOP
        if w.state is State.WAITING:
            return Event.SPAWNED if self._clock() >= w.due and not self.stopping else None
        code = w.child.poll() if w.child else CANNOT_START
        if code is not None:
            return self._death(w, code)
        if w.state in {State.RECYCLING, State.STOPPING}:
            return None
        return self._checked(w, w.check) if w.check else self._probe(w)

    def _drained_before(self, w: Watched) -> bool:
        return all(later.state.final for later in self.watched[self.watched.index(w) + 1 :])

    def _death(self, w: Watched, code: int) -> Event:
        w.note = exit_text(code)
        if w.state is State.STOPPING:
            return Event.EXITED
        if w.state is not State.RECYCLING:
            w.failures += 1
        if not w.was_ready and w.failures and (not by_signal(code) or w.state is State.RECYCLING):
            w.note += " before it was ever ready"
            return Event.GAVE_UP
        if w.failures > self._policy.restarts:
            w.note += f"; {self._policy.restarts} restarts did not help"
            return Event.GAVE_UP
        return Event.EXITED

    def _checked(self, w: Watched, check: Checking) -> Event | None:
        """Reload when the check has found nothing; a child that would not come back goes on."""
        said = check.said()
        if said is None:
            return None
        w.check, w.refused = None, said
        if said:
            w.note = f"not restarted: {said}"
            return Event.REFUSED
        if w.child:
            w.child.reload()
        return None

    def _probe(self, w: Watched) -> Event | None:
        if self._clock() < w.probe_at:
            return None
        w.missing = self._missing(w)
        now = self._clock()
        every = self._policy.probe_every_s
        w.probe_at = now + (every if w.state is State.READY else self._policy.probe_start_every_s)
        if w.missing:
            return self._impatience(w, now)
        w.answered_at = now
        if w.state is not State.READY:
            w.note = f"after {now - w.since:.1f} s"
            return Event.ANSWERED
        if now - w.since >= self._policy.healthy_s:
            w.failures = 0
        return None

    def _missing(self, w: Watched) -> str:
        if w.state is State.READY:
            return w.spec.alive()
        if w.state is State.RELOADING and w.child and not w.child.reloaded():
            return "workers are being replaced"
        return w.spec.ready()

    def _impatience(self, w: Watched, now: float) -> Event | None:
        silence_s, starting_s = now - w.answered_at, now - w.since
        if w.state is State.READY and silence_s > self._policy.silence_s:
            return self._failure(w, Event.SILENT, f"no answer for {silence_s:.0f} s")
        if w.state is not State.READY and starting_s > self._policy.start_s:
            return self._failure(w, Event.LATE, f"not ready after {starting_s:.0f} s")
        return None

    def _failure(self, w: Watched, event: Event, text: str) -> Event:
        w.failures += 1
        w.note = f"{text}: {w.missing}"
        return event

    def _move(self, w: Watched, event: Event) -> None:
        before = w.state
        w.state = advance(before, event)
        now = self._clock()
        if w.state is State.WAITING and event is Event.EXITED:
            self._schedule(w, now)
        self._act(w, event)
        if w.check and w.state is not State.RELOADING:
            w.check.end()
            w.check = None
        if w.state is not before:
            w.since = now
            self._changed(w, before)
            w.note = ""

    def _schedule(self, w: Watched, now: float) -> None:
        delay_s = self._policy.delay_s(w.failures)
        w.due = now + delay_s
        if w.failures:
            w.note += f"; restart {w.failures} of {self._policy.restarts} in {delay_s:g} s"

    def _act(self, w: Watched, event: Event) -> None:
        if w.state is State.STARTING:
            self._start(w)
        elif w.state is State.READY:
            w.was_ready = True
            w.generation += 1
        elif w.state is State.FAILED:
            self.stopping = True
        elif w.child and event in {Event.HURRY, Event.SILENT}:
            w.child.kill()
        elif event is Event.RELOAD:
            w.check = self._check(w.spec)
        elif w.child and w.state.running:
            w.child.terminate()
        if not w.state.running:
            w.child = None

    def _start(self, w: Watched) -> None:
        w.starts += 1
        w.probe_at = self._clock()
        try:
            w.child = self._launch(w.spec)
        except OSError as error:
            w.note = str(error)


def by_signal(code: int) -> bool:
    """Tell whether an exit code stands for a signal; 255 is a program's own."""
    return KILLED < code <= KILLED + _SIGNALS


def exit_text(code: int) -> str:
    """Return an exit code in words, with the signal's name where one ended the child."""
    names = {number.value: number.name for number in signal.Signals}
    name = names.get(code - KILLED)
    return f"exit code {code}, {name}" if name else f"exit code {code}"
