"""The bytes of the memory budget that the connections of a worker hold.

Requests that are still arriving, and responses that clients have not taken, may hold a share of
the budget only, so that clients that stop leave room for decoding.
"""

from __future__ import annotations

from typing import Final

from flask_server.memory_budget import MemoryBudget
from flask_server.runtime.connection import Connection

#: Largest share of the memory budget for bytes that wait for clients: of requests that are still
#: arriving, and of responses that clients have not taken. The rest is left for decoding.
CLIENTS_SHARE: Final = 0.75
#: Bytes of each connection that do not count in that share, so that small requests can arrive.
FREE_BYTES: Final = 64 * 1024


class ConnectionMemory:
    """Reserves bytes of a budget for connections; the share of clients is not thread-safe."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._most_for_clients = int(CLIENTS_SHARE * budget.total)
        self._held_for_clients = 0
        """Bytes that count in the share of clients; used by the main thread only."""

    def reserve(self, conn: Connection, count: int) -> bool:
        """Reserve bytes of the memory budget for a request; return False if too few are left."""
        if not self._budget.reserve(count):
            return False
        conn.reserved += count
        return True

    def reserve_for_client(self, conn: Connection, count: int) -> bool:
        """Reserve bytes that are held until the client goes on, within the share of clients."""
        size = conn.reserved + count
        counted = max(0, size - FREE_BYTES) - conn.held_for_client
        if self._held_for_clients + counted > self._most_for_clients:
            return False
        if not self.reserve(conn, count):
            return False
        conn.held_for_client += counted
        self._held_for_clients += counted
        return True

    def end_share(self, conn: Connection) -> None:
        """Count the bytes of a connection no longer in the share of clients."""
        if conn.held_for_client:  # never in a thread, which has whole requests only
            self._held_for_clients -= conn.held_for_client
            conn.held_for_client = 0

    def release(self, conn: Connection) -> None:
        """Give the bytes of a connection back."""
        self.end_share(conn)
        self._budget.release(conn.reserved)
        conn.reserved = 0
