"""When a request counts as arrived, whatever the pieces it comes in."""

from __future__ import annotations

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_server.runtime.arrival import (
    ARRIVAL_S,
    MAX_CHUNKS,
    MAX_HEAD_BYTES,
    MAX_LINE_BYTES,
    MIN_BYTES_PER_S,
    Arrival,
)

LIMIT = 100
HEAD = b"POST /models/toy/predict HTTP/1.1\r\nHost: x\r\n"
REQUESTS = {
    "no body": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "body of known length": HEAD + b"Content-Length: 5\r\n\r\nabcde",
    "length in small letters": HEAD + b"content-length:5 \r\n\r\nabcde",
    "empty body": HEAD + b"Content-Length: 0\r\n\r\n",
    "body with the end of a head": HEAD + b"Content-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n",
    "chunks with trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n",
    "body as large as allowed": HEAD + b"Content-Length: 100\r\n\r\n" + bytes(LIMIT),
}


def arrival() -> Arrival:
    return Arrival(LIMIT, now=0.0)


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_is_complete_with_its_last_byte_and_not_before(request_bytes: bytes) -> None:
    arriving = arrival()
    for byte in request_bytes[:-1]:
        arriving.feed(bytes([byte]), now=0.0)
        assert not arriving.complete

    arriving.feed(request_bytes[-1:], now=0.0)

    assert arriving.complete
    assert arriving.buffer == request_bytes


@given(st.sampled_from(sorted(REQUESTS.values())), st.data())
def test_pieces_of_any_size_make_the_same_request(
    request_bytes: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(request_bytes)), max_size=6)))
    arriving = arrival()
    for start, end in zip([0, *cuts], [*cuts, len(request_bytes)], strict=True):
        assert not arriving.complete or start == len(request_bytes)
        arriving.feed(request_bytes[start:end], now=0.0)

    assert arriving.complete
    assert arriving.buffer == request_bytes


def test_the_head_has_arrived_once() -> None:
    head = HEAD + b"Content-Length: 5\r\n\r\n"
    arriving = arrival()
    arriving.feed(head[:-1], now=0.0)
    assert not arriving.take_new_head()
    assert arriving.head == b""

    arriving.feed(head[-1:] + b"abc", now=0.0)

    assert [arriving.take_new_head(), arriving.take_new_head()] == [True, False]
    assert arriving.head == head[:-2]
    assert not arriving.complete


def test_the_next_request_stays_behind_the_first() -> None:
    arriving = arrival()

    arriving.feed(REQUESTS["no body"] * 2, now=0.0)

    assert arriving.complete
    assert arriving.buffer == REQUESTS["no body"] * 2


@pytest.mark.parametrize(
    "unclear",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: five\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 1" + b"0" * 20 + b"\r\n",
    ],
)
def test_a_body_whose_end_is_unclear_is_left_to_the_parser(unclear: bytes) -> None:
    arriving = arrival()

    arriving.feed(HEAD + unclear + b"\r\n", now=0.0)

    assert arriving.complete


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"Content-Length: 101\r\n\r\n", id="length"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + bytes(LIMIT + 1), id="chunk"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (LIMIT + 1), id="chunks"
        ),
        pytest.param(b"GET /" + b"x" * MAX_LINE_BYTES, id="request line"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_HEAD_BYTES // 6), id="head"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * (MAX_LINE_BYTES + 1),
            id="size line",
        ),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="no chunk size"),
    ],
)
def test_what_will_be_refused_is_not_waited_for(sent: bytes) -> None:
    arriving = arrival()

    arriving.feed(sent, now=0.0)

    assert arriving.complete


def test_a_body_in_tiny_chunks_is_not_waited_for() -> None:
    arriving = Arrival(10 * MAX_CHUNKS, now=0.0)
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

    arriving.feed(head + b"1\r\na\r\n" * (MAX_CHUNKS + 1), now=0.0)

    assert arriving.complete


def test_many_trailer_lines_are_not_waited_for() -> None:
    arriving = arrival()
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"

    arriving.feed(head + b"a:b\r\n" * (MAX_CHUNKS - 1), now=0.0)
    assert not arriving.complete

    arriving.feed(b"a:b\r\n" * 10, now=0.0)
    assert arriving.complete


def test_an_expectation_is_told_once_and_taken_out() -> None:
    arriving = arrival()
    arriving.feed(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", now=0.0)

    assert [arriving.take_expectation(), arriving.take_expectation()] == [True, False]
    assert not arriving.complete

    arriving.feed(b"ab", now=0.0)

    assert arriving.complete
    assert arriving.buffer == HEAD + b"Content-Length: 2\r\n\r\nab"


def test_an_expectation_with_too_large_a_body_is_not_met() -> None:
    arriving = arrival()

    arriving.feed(HEAD + b"Content-Length: 101\r\nExpect: 100-continue\r\n\r\n", now=0.0)

    assert arriving.complete
    assert not arriving.take_expectation()


def test_a_request_has_to_arrive_at_some_pace() -> None:
    arriving = Arrival(10**6, now=0.0)
    arriving.feed(HEAD + b"Content-Length: 1000000\r\n\r\n", now=100.0)

    assert not arriving.overdue(100 + ARRIVAL_S)
    assert arriving.overdue(101 + ARRIVAL_S)

    arriving.feed(bytes(5 * MIN_BYTES_PER_S), now=110.0)

    assert not arriving.overdue(104 + ARRIVAL_S)
    assert arriving.overdue(106 + ARRIVAL_S)


def test_bytes_that_came_fast_buy_no_time_for_those_that_do_not_come() -> None:
    arriving = Arrival(10**6, now=0.0)
    arriving.feed(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(999_999), now=1.0)

    assert not arriving.overdue(1 + ARRIVAL_S)
    assert arriving.overdue(2 + ARRIVAL_S)


def test_a_connection_that_has_idled_has_the_whole_time_for_its_next_request() -> None:
    arriving = Arrival(LIMIT, now=0.0)

    arriving.feed(b"GET /hea", now=60.0)

    assert not arriving.overdue(60 + ARRIVAL_S)
    assert arriving.age(61.0) == 1.0


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_bytes_are_given_back_without_a_garbage_collection(request_: bytes) -> None:
    gc.disable()
    try:
        arrival = Arrival(LIMIT, now=0)
        arrival.feed(request_[:-1], now=0)
        alive = weakref.ref(arrival)
        del arrival
        assert alive() is None
    finally:
        gc.enable()
