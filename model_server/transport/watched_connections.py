"""Keep the open connections, and what the event loop waits for at each; for its thread only."""

from __future__ import annotations

import selectors
from collections.abc import Iterator
from time import monotonic

from model_server.transport.connection import Connection, State
from model_server.transport.requests_in_progress import RequestsInProgress


class WatchedConnections:
    """The open connections; those that no thread handles are watched by a selector."""

    def __init__(self, selector: selectors.BaseSelector, progress: RequestsInProgress) -> None:
        self._selector = selector
        self._progress = progress
        self.open: set[Connection] = set()
        #: The connections of each state, the oldest first.
        self._waiting: dict[State, dict[Connection, None]] = {state: {} for state in State}

    @property
    def has_droppable(self) -> bool:
        """Tell whether a connection is watched, which could be closed for a new one."""
        return any(self._waiting.values())

    def watch(self, connection: Connection, state: State) -> None:
        """Let the event loop wait for a connection."""
        events = selectors.EVENT_WRITE if state is State.SENDING else selectors.EVENT_READ
        if connection.state is None:
            self._selector.register(connection.sock, events, connection)
        else:
            del self._waiting[connection.state][connection]
            if State.SENDING in (connection.state, state):
                self._selector.modify(connection.sock, events, connection)
        connection.set_state(state, monotonic())
        self._waiting[state][connection] = None

    def release(self, connection: Connection) -> None:
        """Stop waiting for a connection."""
        if connection.state is not None:
            self._selector.unregister(connection.sock)
            self._waiting[connection.state].pop(connection, None)
            connection.set_state(None, monotonic())

    def close(self, connection: Connection) -> None:
        """Close a connection."""
        self.release(connection)
        self.open.discard(connection)
        connection.close()
        self._progress.leave(connection)

    def drop_oldest(self) -> bool:
        """Close the connection that has waited for longest; tell whether there was one."""
        oldest = [next(iter(connections)) for connections in self._waiting.values() if connections]
        if not oldest:
            return False
        self.close(min(oldest, key=lambda connection: connection.since))
        return True

    def first(self, state: State) -> Connection | None:
        """Return the connection that has been in a state for longest."""
        return next(iter(self._waiting[state]), None)

    def overdue(self, now: float) -> Iterator[Connection]:
        """Return the connections whose state should have ended."""
        for state, connections in self._waiting.items():
            for connection in connections:
                if connection.deadline() <= now:
                    yield connection
                elif state in (State.IDLE, State.CLOSING):
                    break  # the others are younger

    def half_close_unanswered(self) -> None:
        """Half-close the connections that have sent no complete request."""
        for state in (State.IDLE, State.ARRIVING):
            for connection in list(self._waiting[state]):
                connection.half_close()
                self.watch(connection, State.CLOSING)

    def close_watched(self) -> None:
        """Close every connection that no thread handles."""
        for connection in list(self.open):
            if connection.state is not None:
                self.close(connection)
