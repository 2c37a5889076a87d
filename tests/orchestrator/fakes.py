"""Simulate child processes, a check, commands and a clock for tests of the supervisor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.check import CheckResult
from orchestrator.child import ChildSpec
from orchestrator.child_state import ChildState
from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import State
from orchestrator.problem import Problem
from orchestrator.restart_policy import RestartPolicy
from orchestrator.supervise import Supervisor

TERM = 143
KILL = 137


@dataclass
class FakeProcess:
    """A process that ends when it is told to, unless it ignores TERM."""

    pid: int
    code: int | None = None
    ignores_term: bool = False
    replaced: bool = False
    cpu_share: float | None = None
    """CPU time that it uses per second; None where CPU times are unknown."""
    clock: Callable[[], float] = lambda: 0.0
    received: list[str] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.received.append("stop")
        if not self.ignores_term and self.code is None:
            self.code = TERM

    def kill(self) -> None:
        self.received.append("kill")
        self.code = KILL

    def reload(self) -> None:
        self.received.append("reload")

    def reloaded(self) -> bool:
        return self.replaced

    def cpu_s(self) -> float | None:
        return None if self.cpu_share is None else self.clock() * self.cpu_share


@dataclass
class FakeCheck:
    """A check whose result the test sets."""

    result: CheckResult | None = None
    ended: bool = False

    def poll(self) -> CheckResult | None:
        return self.result

    def end(self) -> None:
        self.ended = True


class Simulation:
    """A supervisor of two children, serving and gateway, in simulated time."""

    def __init__(self, policy: RestartPolicy | None = None) -> None:
        self.now = 0.0
        self.up: set[str] = set()
        """Children whose probes find no problem."""
        self.cannot_start: set[str] = set()
        """Children whose process cannot be started."""
        self.exits_at_once: set[str] = set()
        """Children whose process ends with code 1 at once."""
        self.processes: dict[str, FakeProcess] = {}
        """The newest process of each child."""
        self.check = FakeCheck(CheckResult())
        self.history: list[str] = []
        """Every change of state, as child and new state."""
        self.notes: list[str] = []
        """The reason of every change of state."""
        self.notices: list[str] = []
        self.prepared: list[str] = []
        """Every preparation of a start or reload, by child."""
        self.refused: dict[str, Problem] = {}
        """Why a restart of a child is refused."""
        self.alive: set[str] = set()
        """Children that answer, though they may not be up."""
        self.start_times: list[float] = []
        self.scheduled: dict[float, Callable[[], Command | None]] = {}
        self.supervisor = Supervisor(
            [self._spec("serving"), self._spec("gateway", reloads=True)],
            next_command=self._next_command,
            on_change=self._on_change,
            on_notice=lambda child, text: self.notices.append(f"{child.spec.name} {text}"),
            launch=self._launch,
            check=lambda _: self.check,
            clock=lambda: self.now,
            policy=policy or RestartPolicy(tick_s=0.5),
        )

    def schedule(self, when: float, act: Callable[[], object]) -> None:
        """Call a function at a time; a command that it returns goes to the supervisor."""

        def command() -> Command | None:
            result = act()
            return result if isinstance(result, Command) else None

        self.scheduled[when] = command

    def run(self, until: float) -> None:
        """Step until the simulated time is reached."""
        while self.now < until:
            self.supervisor.step()

    def finish(self) -> int:
        """Ask for a stop and run to the end."""
        self.scheduled = {self.now: lambda: Command(Action.STOP)}
        return self.supervisor.run()

    def states(self) -> list[State]:
        return [child.state for child in self.supervisor.children]

    def _spec(self, name: str, *, reloads: bool = False) -> ChildSpec:
        return ChildSpec(
            name=name,
            argv=[name],
            env={},
            cwd=Path(),
            log=Path(),
            ready=lambda: None if name in self.up else Problem(f"{name} is not up"),
            alive=lambda: None if name in self.up | self.alive else Problem(f"{name} is silent"),
            prepare=lambda: self.prepared.append(name),
            refuse=lambda: self.refused.get(name),
            reloads=reloads,
        )

    def _launch(self, spec: ChildSpec) -> FakeProcess:
        if spec.name in self.cannot_start:
            raise BlockingIOError("no more processes")
        self.start_times.append(self.now)
        code = 1 if spec.name in self.exits_at_once else None
        self.processes[spec.name] = FakeProcess(
            pid=len(self.start_times), code=code, clock=lambda: self.now
        )
        return self.processes[spec.name]

    def _next_command(self, timeout_s: float) -> Command | None:
        due = [when for when in self.scheduled if when <= self.now]
        if due:
            return self.scheduled.pop(min(due))()
        self.now += timeout_s
        return None

    def _on_change(self, child: ChildState, before: State) -> None:
        self.history.append(f"{child.spec.name} {child.state.value}")
        self.notes.append(child.note)
