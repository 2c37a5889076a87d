"""A world on paper: children that do as the story says, and a clock that the story moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.child import ChildSpec
from orchestrator.child_state import ChildState
from orchestrator.command_queue import Action, Command
from orchestrator.lifecycle import State
from orchestrator.restart_policy import RestartPolicy
from orchestrator.supervise import Supervisor

TERM = 143
KILL = 137


@dataclass
class PaperChild:
    """A child that ends when told so, unless the story makes it deaf."""

    pid: int
    code: int | None = None
    deaf: bool = False
    replaced: bool = False
    heard: list[str] = field(default_factory=list)

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.heard.append("stop")
        if not self.deaf and self.code is None:
            self.code = TERM

    def kill(self) -> None:
        self.heard.append("kill")
        self.code = KILL

    def reload(self) -> None:
        self.heard.append("reload")

    def reloaded(self) -> bool:
        return self.replaced


@dataclass
class PaperCheck:
    """A check that says what the story lets it say."""

    answer: str | None = None
    ended: bool = False

    def said(self) -> str | None:
        return self.answer

    def end(self) -> None:
        self.ended = True


class World:
    """Two children, serving and gateway, and everything the loop can see."""

    def __init__(self, policy: RestartPolicy | None = None) -> None:
        self.now = 0.0
        self.up: set[str] = set()
        self.children: dict[str, PaperChild] = {}
        self.check = PaperCheck("")
        self.history: list[str] = []
        self.notes: list[str] = []
        self.born: list[float] = []
        self.plot: dict[float, Callable[[], Command | None]] = {}
        self.broken: set[str] = set()
        self.doomed: set[str] = set()
        self.supervisor = Supervisor(
            [self._spec("serving"), self._spec("gateway", reloads=True)],
            next_command=self._next_command,
            on_change=self._on_change,
            launch=self._launch,
            check=lambda _: self.check,
            clock=lambda: self.now,
            policy=policy or RestartPolicy(tick_s=0.5),
        )

    def at(self, when: float, act: Callable[[], object]) -> None:
        """Let something happen at a time; what it returns is posted if it is a command."""

        def posted() -> Command | None:
            result = act()
            return result if isinstance(result, Command) else None

        self.plot[when] = posted

    def run(self, until: float) -> None:
        """Let the time pass."""
        while self.now < until:
            self.supervisor.step()

    def finish(self) -> int:
        """Ask for a stop and let the loop run to its end."""
        self.plot = {self.now: lambda: Command(Action.STOP)}
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
            ready=lambda: "" if name in self.up else f"{name} is not up",
            alive=lambda: "" if name in self.up else f"{name} is silent",
            reloads=reloads,
        )

    def _launch(self, spec: ChildSpec) -> PaperChild:
        if spec.name in self.broken:
            raise BlockingIOError("no more processes")
        self.born.append(self.now)
        code = 1 if spec.name in self.doomed else None
        self.children[spec.name] = PaperChild(pid=len(self.born), code=code)
        return self.children[spec.name]

    def _next_command(self, timeout_s: float) -> Command | None:
        due = [when for when in self.plot if when <= self.now]
        if due:
            return self.plot.pop(min(due))()
        self.now += timeout_s
        return None

    def _on_change(self, child: ChildState, before: State) -> None:
        self.history.append(f"{child.spec.name} {child.state.value}")
        self.notes.append(child.note)
