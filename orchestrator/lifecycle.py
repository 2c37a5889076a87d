"""Say which state follows which event in the life of a child. Pure: no process, no clock.

A caller can rely on two promises: nothing leaves a final state, and an event that a state does not
know raises ``ImpossibleEvent`` instead of passing unnoticed.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a child is in its life."""

    WAITING = "WAITING"
    """Not running; to be started, at once or after a delay."""

    STARTING = "STARTING"
    """Running, not ready yet."""

    READY = "READY"
    """Running and answering."""

    RELOADING = "RELOADING"
    """Answering while its check runs, then its workers are replaced one after the other."""

    RECYCLING = "RECYCLING"
    """Told to end in order to be started again."""

    STOPPING = "STOPPING"
    """Told to end for good."""

    STOPPED = "STOPPED"
    """Ended because somebody asked."""

    FAILED = "FAILED"
    """Ended by itself once too often."""

    @property
    def final(self) -> bool:
        """Tell whether nothing can happen any more."""
        return self in {State.STOPPED, State.FAILED}

    @property
    def running(self) -> bool:
        """Tell whether a process belongs to this state."""
        return self is not State.WAITING and not self.final


class Event(Enum):
    """What can happen to a child."""

    SPAWNED = "spawned"
    ANSWERED = "answered"
    LATE = "was not ready in time"
    SILENT = "answered no more"
    EXITED = "exited"
    GAVE_UP = "gave up"
    RELOAD = "reload asked for"
    REFUSED = "a reload would end it"
    RECYCLE = "restart asked for"
    STOP = "stop asked for"
    HURRY = "stop at once asked for"


TABLE: dict[tuple[State, Event], State] = {
    (State.WAITING, Event.SPAWNED): State.STARTING,
    (State.WAITING, Event.GAVE_UP): State.FAILED,
    (State.WAITING, Event.RECYCLE): State.WAITING,
    (State.WAITING, Event.STOP): State.STOPPED,
    (State.WAITING, Event.HURRY): State.STOPPED,
    (State.STARTING, Event.ANSWERED): State.READY,
    (State.STARTING, Event.LATE): State.RECYCLING,
    (State.STARTING, Event.EXITED): State.WAITING,
    (State.STARTING, Event.GAVE_UP): State.FAILED,
    (State.STARTING, Event.RECYCLE): State.RECYCLING,
    (State.STARTING, Event.STOP): State.STOPPING,
    (State.STARTING, Event.HURRY): State.STOPPING,
    (State.READY, Event.SILENT): State.RECYCLING,
    (State.READY, Event.EXITED): State.WAITING,
    (State.READY, Event.GAVE_UP): State.FAILED,
    (State.READY, Event.RELOAD): State.RELOADING,
    (State.READY, Event.RECYCLE): State.RECYCLING,
    (State.READY, Event.STOP): State.STOPPING,
    (State.READY, Event.HURRY): State.STOPPING,
    (State.RELOADING, Event.ANSWERED): State.READY,
    (State.RELOADING, Event.REFUSED): State.READY,
    (State.RELOADING, Event.LATE): State.RECYCLING,
    (State.RELOADING, Event.SILENT): State.RECYCLING,
    (State.RELOADING, Event.EXITED): State.WAITING,
    (State.RELOADING, Event.GAVE_UP): State.FAILED,
    (State.RELOADING, Event.RECYCLE): State.RECYCLING,
    (State.RELOADING, Event.STOP): State.STOPPING,
    (State.RELOADING, Event.HURRY): State.STOPPING,
    (State.RECYCLING, Event.EXITED): State.WAITING,
    (State.RECYCLING, Event.GAVE_UP): State.FAILED,
    (State.RECYCLING, Event.RECYCLE): State.RECYCLING,
    (State.RECYCLING, Event.STOP): State.STOPPING,
    (State.RECYCLING, Event.HURRY): State.STOPPING,
    (State.STOPPING, Event.EXITED): State.STOPPED,
    (State.STOPPING, Event.RECYCLE): State.STOPPING,
    (State.STOPPING, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.HURRY): State.STOPPING,
}


class ImpossibleEvent(Exception):
    """An event came in a state that does not know it: a defect of the caller."""

    def __init__(self, state: State, event: Event) -> None:
        known = [known.name for at, known in TABLE if at is state]
        super().__init__(f"{state.name} does not know {event.name}; it knows {known or 'nothing'}.")


def advance(state: State, event: Event) -> State:
    """Return the state that follows, or raise ``ImpossibleEvent``."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise ImpossibleEvent(state, event) from None
