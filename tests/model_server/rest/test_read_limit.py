"""Costly documents are counted in memory while they are read, and wait for each other."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from model_server.byte_budget import ByteBudget
from model_server.codec import json_cost
from model_server.errors import Unavailable
from model_server.rest import read_limit
from model_server.rest.read_limit import ReadLimit, Turns, is_costly
from model_server.transport.http_messages import Request

COSTLY = b'{"instances":[' + b"0," * 200_000 + b"0]}"
CHEAP = b'{"instances":[{"b64":"' + b"A" * 400_000 + b'"}]}'
TOTAL = 64 << 20


def request(body: bytes, **headers: str) -> Request:
    return Request("POST", "/", "/", headers, body)


def test_which_requests_are_costly() -> None:
    assert is_costly(request(COSTLY))
    assert not is_costly(request(CHEAP))
    assert not is_costly(request(b'{"instances":[1]}'))
    zipped = {"content-encoding": "gzip"}
    assert is_costly(request(gzip.compress(b" " * (32 << 20)), **zipped))
    assert not is_costly(request(gzip.compress(b'{"instances":[1]}'), **zipped))


def test_a_costly_document_is_counted_while_it_is_read() -> None:
    budget = ByteBudget(TOTAL)
    limit = ReadLimit(budget)

    with limit.reserved(COSTLY):
        assert budget.used == json_cost.cost(COSTLY)
    with limit.reserved(CHEAP):
        assert budget.used == 0

    assert budget.used == 0
    assert budget.released == json_cost.cost(COSTLY)


def test_a_document_beyond_the_budget_is_read_alone() -> None:
    budget = ByteBudget(12 << 20)

    with ReadLimit(budget).reserved(COSTLY):
        assert budget.used == 9 << 20


def test_a_document_waits_for_another() -> None:
    budget = ByteBudget(int(1.5 * json_cost.cost(COSTLY)))
    limit = ReadLimit(budget)
    is_read = threading.Event()

    def read() -> None:
        with limit.reserved(COSTLY):
            is_read.set()

    with limit.reserved(COSTLY):
        other = threading.Thread(target=read)
        other.start()
        assert not is_read.wait(0.05)
    assert is_read.wait(60)
    other.join(60)
    assert budget.used == 0


def test_a_document_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_limit, "_WAIT_S", 0.0)
    budget = ByteBudget(TOTAL)
    budget.add(TOTAL)

    limit = ReadLimit(budget)

    with (
        pytest.raises(Unavailable, match="--rest_api_max_total_bytes"),
        limit.reserved(COSTLY),
    ):
        pass


def waits_for_reading(body: bytes, turn: Callable[[Turns], AbstractContextManager[object]]) -> bool:
    """Tell whether the turn of a document begins only when another one has been read."""
    limit = ReadLimit(ByteBudget(TOTAL))
    has_begun = threading.Event()

    def begin() -> None:
        with limit.reserved(body) as turns, turn(turns):
            has_begun.set()

    with limit.reserved(body) as turns, turns.reading():
        other = threading.Thread(target=begin)
        other.start()
        is_early = has_begun.wait(0.05)
    assert has_begun.wait(60)
    other.join(60)
    return not is_early


@pytest.mark.parametrize("body", [COSTLY, CHEAP], ids=["costly", "large"])
def test_one_document_is_read_at_a_time(body: bytes) -> None:
    assert waits_for_reading(body, lambda turns: turns.reading())


def test_other_documents_do_not_wait_for_costly_ones() -> None:
    limit = ReadLimit(ByteBudget(TOTAL))

    with limit.reserved(COSTLY) as turns, turns.reading(), limit.reserved(CHEAP) as others:
        with others.reading():
            pass
        with others.writing():
            pass


def test_small_documents_do_not_wait() -> None:
    limit = ReadLimit(ByteBudget(TOTAL))
    small = b'{"instances":[1]}'

    with limit.reserved(small) as turns, turns.reading(), limit.reserved(small) as others:
        with others.reading(), turns.writing():
            pass


def test_a_document_whose_turn_does_not_come_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_limit, "_WAIT_S", 0.0)
    limit = ReadLimit(ByteBudget(TOTAL))

    with limit.reserved(COSTLY) as first, first.reading(), limit.reserved(COSTLY) as second:
        with pytest.raises(Unavailable, match="Other large bodies"), second.reading():
            pass


def test_an_answer_is_written_in_the_turn_of_its_document() -> None:
    assert waits_for_reading(COSTLY, lambda turns: turns.writing())
