"""The main thread accepts connections first, and serves the others in turns of limited length."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

pytest.importorskip("gunicorn.workers.gthread", reason="gunicorn needs a Unix system")

from flask_server.runtime import event_loop
from flask_server.runtime.connection import ArrivedSocket
from flask_server.runtime.event_loop import EventLoopWorker


@pytest.fixture(autouse=True)
def _long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no turn end because a neighbour has held the processor."""
    monkeypatch.setattr(event_loop, "TURN_S", 60.0)


@contextmanager
def dispatching(count: int) -> Iterator[tuple[EventLoopWorker, list[str]]]:
    """A worker with so many connections, a listener after them, and the order of its callbacks."""
    order: list[str] = []
    worker = EventLoopWorker.__new__(EventLoopWorker)
    worker._main_waits = threading.Event()
    with selectors.DefaultSelector() as worker.poller, ExitStack() as stack:
        for number in range(count):
            ours, theirs = socket.socketpair()
            arrived = stack.enter_context(ArrivedSocket(fileno=ours.detach()))
            stack.enter_context(theirs).send(b"x")
            note = partial(_note, order, str(number))
            worker.poller.register(arrived, selectors.EVENT_READ, note)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        note = partial(_note, order, "accept")
        worker.poller.register(listener, selectors.EVENT_READ, note)
        yield worker, order


def _note(order: list[str], name: str, _sock: object) -> None:
    order.append(name)


def test_connections_are_accepted_before_others_are_served() -> None:
    with dispatching(2) as (worker, order):
        worker.wait_for_and_dispatch_events(1)

    assert order == ["accept", "0", "1"]


def test_a_turn_that_takes_long_ends_so_that_others_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_loop, "TURN_S", -1.0)

    with dispatching(2) as (worker, order):
        worker.wait_for_and_dispatch_events(1)

    assert order == ["accept"]


def test_a_connection_that_was_closed_in_the_same_turn_is_not_served() -> None:
    with dispatching(2) as (worker, order):
        keys = list(worker.poller.get_map().values())

        def close_next(_sock: object) -> None:
            worker.poller.unregister(keys[1].fileobj)

        worker.poller.modify(keys[0].fileobj, selectors.EVENT_READ, close_next)
        worker.wait_for_and_dispatch_events(1)

    assert order == ["accept"]
