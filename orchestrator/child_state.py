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

    def cpu_s(self) -> float | None:
        """Return the CPU time that the process and its workers have used; None if unknown."""


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
        self.progress_at = now
        """When the child was last seen to answer or to use CPU time."""
        self.cpu_mark: float | None = None
        """CPU time at ``progress_at``, once a probe has found a problem since."""
        self.is_busy = False
        """Whether the child has been silent for ``hang_timeout_s`` and uses CPU time."""
        self.starts = 0
        """Number of starts."""
        self.generation = 0
        """Number of times that the child became ready, by a start or a reload."""
        self.restarts_asked = 0
        """Number of restarts that were asked for."""
        self.failures = 0
        """Number of consecutive failures."""
        self.last_failure = ""
        """Reason of the last of these failures."""
        self.was_ready = False
        """False until the child is ready for the first time."""
        self.problem: Problem | None = None
        """What the last probe found."""
        self.unready: Problem | None = None
        """What was still missing when a restarted child was taken for ready after all."""
        self.note = ""
        """Reason of the change of state that is being reported."""
        self.refused: Problem | None = None
        """Why the last reload was refused."""

    @property
    def pid(self) -> int:
        """PID of the running process, 0 when there is none."""
        return self.process.pid if self.process else 0
