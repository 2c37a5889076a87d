"""A plain head is read as by the standard library, any other by it; all reads share one timeout."""

from __future__ import annotations

import socket
from http.client import HTTPResponse

import pytest

from flask_server.serving.transport import _TimedReader, plain_head

USUAL = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 28 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Length: 5\r\n\r\nhello"
)
PLAIN = {
    "usual": USUAL,
    "without a reason": b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "without a space": b"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello",
    "with spaces at the end": b"HTTP/1.1 200 OK\r\nA: b: c  \r\nContent-Length: 5\r\n\r\nhello",
    "with a field twice": b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 5\r\n\r\nhello",
    "with zeros before the length": b"HTTP/1.1 200 OK\r\nContent-Length: 005\r\n\r\nhello",
}
UNUSUAL = {
    "cut off": USUAL[:60],
    "empty": b"",
    "another version": USUAL.replace(b"1.1", b"1.0"),
    "another status": USUAL.replace(b"200", b"404"),
    "an interim response": b"HTTP/1.1 100 Continue\r\n\r\n" + USUAL,
    "no length": b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "a length of many digits": b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n" % (b"1" * 5000),
    "a length of other digits": "HTTP/1.1 200 OK\r\nContent-Length: \u0665\r\n\r\n".encode(),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "the end of the connection": USUAL.replace(b"Date: Sat", b"Connection: close\r\nDate: Sat"),
    "a folded field": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "line feeds alone": USUAL.replace(b"\r\n", b"\n"),
    "letters that are not ASCII": USUAL.replace(b"json", b"j\xe9"),
    "a field without a name": b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 5\r\n\r\nhello",
    "more fields than the library takes": b"HTTP/1.1 200 OK\r\n%bContent-Length: 5\r\n\r\n"
    % (b"A: b\r\n" * 99),
}


def by_library(data: bytes) -> HTTPResponse:
    """The response whose head the standard library has read."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        response = HTTPResponse(ours)
        response.begin()
        return response


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_head_is_read_as_by_the_standard_library(name: str) -> None:
    found, expected = plain_head(PLAIN[name]), by_library(PLAIN[name])

    assert found is not None
    assert found.headers.items() == expected.headers.items()
    assert (found.reason, found.length) == (expected.reason, expected.length)
    assert not expected.will_close
    assert PLAIN[name][: found.size].endswith(b"\r\n\r\n")


@pytest.mark.parametrize("name", UNUSUAL)
def test_any_other_head_is_left_to_the_standard_library(name: str) -> None:
    assert plain_head(UNUSUAL[name]) is None


def test_each_read_leaves_less_time_for_the_next() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.sendall(b"ab")
        reader, limits = _TimedReader(ours), [60.0]
        for _ in range(2):
            reader.readinto(bytearray(1))
            limits.append(ours.gettimeout() or 0.0)
        reader.close()

    assert limits[0] > limits[1] > limits[2] > 0
