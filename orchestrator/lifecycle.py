"""The states of a child and the events that lead from one to the next.

This module starts no process and reads no clock. No event leads out of a final state, and an event
that is not in the table raises ``InvalidTransition``.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """The state of a child, as ``auto_cmd.py status`` shows it."""

    WAITING = "WAITING"
    """Not running; it will be started, at once or after a delay."""

    STARTING = "STARTING"
    """Running, not ready yet."""

    READY = "READY"
    """Running and answering."""

    RELOADING = "RELOADING"
    """Answering; first its check runs, then its workers are replaced one after the other."""

    RECYCLING = "RECYCLING"
    """Asked to end, or killed; it will be started again."""

    STOPPING = "STOPPING"
    """Asked to end, or killed; it will not be started again."""

    STOPPED = "STOPPED"
    """Ended because a stop was asked for."""

    FAILED = "FAILED"
    """Given up, because it did not become ready when the instance was started."""

    @property
    def final(self) -> bool:
        """Tell whether no event leads out of this state."""
        return self in {State.STOPPED, State.FAILED}

    @property
    def running(self) -> bool:
        """Tell whether a process belongs to this state."""
        return self is not State.WAITING and not self.final


class Event(Enum):
    """What can happen to a child."""

    STARTED = "its process was started"
    BECAME_READY = "its readiness probe found no problem"
    START_TIMEOUT = "it was not ready in time"
    HUNG = "it sent no good response and used no CPU time for too long"
    EXITED = "its process ended and will be started again, unless the child is being stopped"
    GAVE_UP = "its process ended in the start of the instance, which fails"
    RELOAD = "a reload was asked for"
    RELOAD_REFUSED = "the check before a reload failed"
    RESTART = "a stop and start was asked for"
    STOP = "a stop was asked for"
    FORCE_STOP = "a stop without a grace time was asked for"


TABLE: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.STARTED): State.STARTING,
    (State.WAITING, Event.RESTART): State.WAITING,
    (State.WAITING, Event.STOP): State.STOPPED,
    (State.WAITING, Event.FORCE_STOP): State.STOPPED,
    (State.STARTING, Event.BECAME_READY): State.READY,
    (State.STARTING, Event.START_TIMEOUT): State.RECYCLING,
    (State.STARTING, Event.EXITED): State.WAITING,
    (State.STARTING, Event.GAVE_UP): State.FAILED,
    (State.STARTING, Event.RESTART): State.RECYCLING,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.STARTING, Event.FORCE_STOP): State.STOPPING,
    (State.READY, Event.HUNG): State.RECYCLING,
    (State.READY, Event.EXITED): State.WAITING,
    (State.READY, Event.RELOAD): State.RELOADING,
    (State.READY, Event.RESTART): State.RECYCLING,
    (State.READY, Event.STOP): State.STOPPING,
    (State.READY, Event.FORCE_STOP): State.STOPPING,
    (State.RELOADING, Event.BECAME_READY): State.READY,
    (State.RELOADING, Event.RELOAD_REFUSED): State.READY,
    (State.RELOADING, Event.START_TIMEOUT): State.RECYCLING,
    (State.RELOADING, Event.HUNG): State.RECYCLING,
    (State.RELOADING, Event.EXITED): State.WAITING,
    (State.RELOADING, Event.RESTART): State.RECYCLING,
    (State.RELOADING, Event.STOP): State.STOPPING,
    (State.RELOADING, Event.FORCE_STOP): State.STOPPING,
    (State.RECYCLING, Event.EXITED): State.WAITING,
    (State.RECYCLING, Event.GAVE_UP): State.FAILED,
    (State.RECYCLING, Event.RESTART): State.RECYCLING,
    (State.RECYCLING, Event.STOP): State.STOPPING,
    (State.RECYCLING, Event.FORCE_STOP): State.STOPPING,
    (State.STOPPING, Event.EXITED): State.STOPPED,
    (State.STOPPING, Event.RESTART): State.STOPPING,
    (State.STOPPING, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.FORCE_STOP): State.STOPPING,
}


class InvalidTransition(Exception):
    """The event cannot happen in this state; the supervisor has a defect."""

    def __init__(self, state: State, event: Event) -> None:
        known = [known.name for at, known in TABLE if at is state]
        super().__init__(
            f"{event.name} cannot happen in {state.name}; possible are {known or 'no events'}."
        )


def advance(state: State, event: Event) -> State:
    """Return the state that follows, or raise ``InvalidTransition``."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise InvalidTransition(state, event) from None
