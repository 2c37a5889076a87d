"""Connections share a memory budget, and what waits for clients has a share of it only."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

pytest.importorskip("gunicorn.workers.gthread", reason="gunicorn needs a Unix system")

from gunicorn.config import Config

from flask_server.memory_budget import MemoryBudget
from flask_server.runtime.connection import Connection
from flask_server.runtime.connection_memory import FREE_BYTES, ConnectionMemory

TOTAL = 1_000_000


@pytest.fixture
def connections() -> Iterator[tuple[Connection, Connection]]:
    first, second = (Connection(Config(), sock, "", "") for sock in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def test_clients_leave_a_quarter_of_the_memory_for_decoding(
    connections: tuple[Connection, Connection],
) -> None:
    budget = MemoryBudget(TOTAL)
    memory, (first, second) = ConnectionMemory(budget), connections

    assert memory.reserve_for_client(first, 750_000 + FREE_BYTES)
    assert not memory.reserve_for_client(second, FREE_BYTES + 1)
    assert memory.reserve_for_client(second, FREE_BYTES)
    memory.end_share(first)
    assert memory.reserve_for_client(second, 1)
    for connection in connections:
        memory.release(connection)

    assert budget.held == 0


def test_no_more_is_reserved_than_the_budget_has(
    connections: tuple[Connection, Connection],
) -> None:
    budget = MemoryBudget(TOTAL)
    memory, (first, second) = ConnectionMemory(budget), connections

    assert memory.reserve(first, TOTAL)
    assert not memory.reserve(second, 1)
    assert second.reserved == 0
    memory.release(first)
    assert memory.reserve(second, 1)
