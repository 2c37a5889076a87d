"""Hold what the loop knows of one child, and how patient it is; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orchestrator.check import Checking
from orchestrator.child import ChildSpec
from orchestrator.lifecycle import State


class Running(Protocol):
    """What the loop needs of a child."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, or None while the child runs."""

    def terminate(self) -> None:
        """TERM, then KILL when the grace time is over."""

    def kill(self) -> None:
        """KILL at once."""

    def reload(self) -> None:
        """Ask the child to replace its workers."""

    def reloaded(self) -> bool:
        """Tell whether the last reload has replaced every worker."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How patient the loop is."""

    start_s: float = 300.0
    """How long a child may take to get ready."""

    probe_start_every_s: float = 0.2
    """How often a child that is not ready yet is probed."""

    silence_s: float = 30.0
    """How long a ready child may leave its probe unanswered."""

    probe_every_s: float = 1.0
    """How often a ready child is probed."""

    restarts: int = 5
    """How many failures in a row are answered with a restart."""

    first_delay_s: float = 0.5
    """How long the first restart waits; each further one twice as long."""

    longest_delay_s: float = 30.0
    """The most that a restart waits."""

    healthy_s: float = 60.0
    """How long a child must be ready for its failures to be forgotten."""

    tick_s: float = 0.1
    """How long the loop listens before it looks again."""

    def delay_s(self, failures: int) -> float:
        """Return how long to wait before the restart that follows so many failures."""
        if not failures:
            return 0.0
        return min(self.first_delay_s * 2.0 ** (failures - 1), self.longest_delay_s)


POLICY = Policy()


class Watched:
    """One child as the loop sees it."""

    def __init__(self, spec: ChildSpec, now: float) -> None:
        self.spec = spec
        self.state = State.WAITING
        self.child: Running | None = None
        self.check: Checking | None = None
        self.since = now
        self.due = now
        self.probe_at = now
        self.answered_at = now
        self.starts = 0
        self.generation = 0
        self.failures = 0
        self.was_ready = False
        self.missing = ""
        self.note = ""
        self.refused = ""

    @property
    def pid(self) -> int:
        """The PID of the running child, 0 when there is none."""
        return self.child.pid if self.child else 0
