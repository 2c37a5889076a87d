"""The data that the supervisor keeps about each child."""

from __future__ import annotations

from typing import Protocol

from orchestrator.check import Checking
from orchestrator.child import ChildSpec
from orchestrator.lifecycle import State
from orchestrator.problem import Problem


class ChildProcess(Protocol):
    """The part of ``child.Child`` that the supervisor uses."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""

    def terminate(self) -> None:
        """Send TERM, and KILL after the grace time."""

    def kill(self) -> None:
        """Send KILL."""

    def reload(self) -> None:
        """Ask the process to replace its workers."""

    def reloaded(self) -> bool:
        """Tell whether the last reload has replaced every worker."""


class ChildState:
    """State, process and counters of one child; every time is one of the supervisor's clock."""

    def __init__(self, spec: ChildSpec, now: float) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.since = now
        """When ``state`` was entered."""
        self.process: ChildProcess | None = None
        self.check: Checking | None = None
        """The check that precedes a reload, while it runs."""
        self.start_at = now
        """When a WAITING child is started."""
        self.probe_at = now
        """When the next probe is due."""
        self.answered_at = now
        """When a probe last found no problem."""
        self.starts = 0
        """Number of starts."""
        self.generation = 0
        """Number of times that the child became ready, by a start or a reload."""
        self.failures = 0
        """Number of consecutive failures."""
        self.was_ready = False
        """False until the child is ready; set back when the user asks for a stop and start."""
        self.problem: Problem | None = None
        """What the last probe found."""
        self.note = ""
        """Reason of the change of state that is being reported."""
        self.refused: Problem | None = None
        """Why the last reload was refused."""

    @property
    def pid(self) -> int:
        """PID of the running process, 0 when there is none."""
        return self.process.pid if self.process else 0
