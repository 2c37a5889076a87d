from __future__ import annotations

import gc
import sys
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_server.transport.http_messages import Request, Response
from model_server.transport.request_reader import MAX_CHUNK_OVERHEAD, Arrival, RequestReader

LIMIT = 1000
POST = b"POST /p HTTP/1.1\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

MESSAGES = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    POST + b"Content-Length: 4\r\n\r\nbody",
    POST + b"Content-Length: 0\r\n\r\n",
    CHUNKED + b"3;x=1\r\nbod\r\n1\r\ny\r\n0\r\nT: 1\r\n\r\n",
    CHUNKED + b"2\r\n\r\n\r\n00\r\n\r\n",
    POST + b"Content-Length: 1001\r\n\r\nrest",
    CHUNKED + b"3e9\r\nrest",
    b"NOISE\r\n\r\n",
    b"GET /a HTTP/1.1\n\n",
    CHUNKED + b"zz\r\n",
]


def arrivals(*pieces: bytes) -> list[object]:
    """Feed the pieces and return requests and refusals, up to the first refusal."""
    reader = RequestReader(LIMIT)
    found: list[object] = []
    for piece in pieces:
        reader.feed(piece)
        while (arrival := reader.next()) is not None:
            found.append(shown(arrival))
            if isinstance(arrival.content, Response):
                return found
    return found


def shown(arrival: Arrival) -> object:
    content = arrival.content
    if isinstance(content, Request):
        return content.method, content.target, content.body
    return content.status


@pytest.mark.parametrize("message", MESSAGES)
def test_a_request_may_come_in_any_two_pieces(message: bytes) -> None:
    whole = arrivals(message)

    for cut in range(len(message)):
        assert arrivals(message[:cut], message[cut:]) == whole


@given(st.lists(st.sampled_from(MESSAGES), max_size=4), st.data())
def test_requests_do_not_depend_on_how_the_bytes_arrive(
    messages: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[start:end] for start, end in zip(edges[:-1], edges[1:], strict=True)]

    assert arrivals(*pieces) == arrivals(stream) == arrivals(*(bytes((b,)) for b in stream))


@given(st.lists(st.sampled_from(MESSAGES) | st.binary(max_size=20), max_size=4))
def test_the_number_of_steps_is_bounded_by_the_number_of_bytes(messages: list[bytes]) -> None:
    stream, steps = b"".join(messages), 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1
        assert steps < 100 * (len(stream) + 10)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        arrivals(stream)
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize(
    ("request_bytes", "found"),
    [
        (POST + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, ("POST", "/p", b"x" * 1000)),
        (POST + b"Content-Length: 1001\r\n\r\n", 413),
        (CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n", ("POST", "/p", b"x" * 1000)),
        (CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n", 413),
        (CHUNKED + b"ffffffffffffffff\r\n", 413),
    ],
)
def test_a_body_over_the_limit_is_refused_before_it_is_read(
    request_bytes: bytes, found: object
) -> None:
    assert arrivals(request_bytes) == [found]


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(b"1;" + b"e" * 16000 + b"\r\nx\r\n", id="long extensions"),
        pytest.param(b"0\r\n" + b"T: " + b"t" * 16000 + b"\r\n", id="a long trailer"),
    ],
)
def test_what_surrounds_the_data_of_chunks_is_limited(chunk: bytes) -> None:
    reader = RequestReader(1 << 30)
    reader.feed(CHUNKED)
    trailer_line = chunk.removeprefix(b"0\r\n")
    reader.feed(chunk)
    fed, arrival = 0, reader.next()
    while arrival is None and fed < 2 * MAX_CHUNK_OVERHEAD:
        reader.feed(trailer_line)
        fed += len(trailer_line)
        arrival = reader.next()

    assert arrival is not None
    assert shown(arrival) == 413
    assert fed <= MAX_CHUNK_OVERHEAD


@pytest.mark.parametrize("line", [b"1" * 17, b"1;" + b"x" * 40_000])
def test_a_line_without_end_is_refused(line: bytes) -> None:
    assert arrivals(CHUNKED + line + b"\n" * (len(line) < 100)) == [400]


class CountingBuffer(bytearray):
    """Counts the bytes that are copied out of it, and out of its copies."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = CountingBuffer(super().__getitem__(key))
        CountingBuffer.copied += len(part)
        return part


def test_small_chunks_do_not_move_what_lies_behind_them() -> None:
    body = b"1\r\nx\r\n" * 1000 + b"0\r\n\r\n"
    reader = RequestReader(LIMIT)
    reader.feed(CHUNKED)
    assert reader.next() is None
    reader._buffer = CountingBuffer(body)

    arrival = reader.next()

    assert arrival is not None
    assert shown(arrival) == ("POST", "/p", b"x" * 1000)
    assert CountingBuffer.copied < len(body)


def test_pieces_of_few_bytes_do_not_cost_an_object_each() -> None:
    reader = RequestReader(1 << 20)
    reader.feed(POST + b"Content-Length: 100000\r\n\r\n")
    reader.next()
    for _ in range(50_000):
        reader.feed(b"x")
        reader.next()

    assert reader.size == 50_000
    assert len(reader._pieces) < 100


def test_leave_to_send_the_body_is_asked_for_once() -> None:
    reader = RequestReader(LIMIT)
    reader.feed(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")

    assert reader.next() is None
    assert (reader.take_expectation(), reader.take_expectation()) == (True, False)


@pytest.mark.parametrize(
    "head", [b"Content-Length: 0\r\n\r\n", b"\r\n", b"Content-Length: 1001\r\n\r\n"]
)
def test_a_body_that_is_not_read_is_not_asked_for(head: bytes) -> None:
    reader = RequestReader(LIMIT)
    reader.feed(POST + b"Expect: 100-continue\r\n" + head)

    assert reader.next() is not None
    assert not reader.take_expectation()


@pytest.mark.parametrize("message", MESSAGES)
def test_bytes_are_given_back_without_a_garbage_collection(message: bytes) -> None:
    gc.disable()
    try:
        reader = RequestReader(LIMIT)
        reader.feed(message[:-1])
        reader.next()
        alive = weakref.ref(reader)
        del reader
        assert alive() is None
    finally:
        gc.enable()
