from __future__ import annotations

import pytest

from model_server.transport.http_messages import (
    BadRequest,
    Response,
    error_page,
    read_head,
    read_target,
    write_response,
)


def test_a_head_is_read() -> None:
    head = read_head(b"POST /a HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\nx-folded: later")

    assert (head.method, head.target, head.minor) == ("POST", "/a", 1)
    assert head.headers == {"host": "x", "x-folded": "a b"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GARBAGE",
        b"GET /a",
        b"GET  HTTP/1.1",
        b"GET /a HTTP/2.0",
        b"GET /a HTTP/" + b"1" * 5000 + b".1",
        b"GET /a HTTP/1." + b"1" * 5000,
        b"GET /a HTTX/1.1",
        b"GET /a HTTP/1.1\r\nno colon",
        b"GET /a HTTP/1.1\r\nContent-Length : 5",
        b"GET /a HTTP/1.1\r\n: no name",
        b"GET /a HTTP/1.1\r\nX: a\0b",
        b"GET /a HTTP/1.1\r\nX: a\rY: b",
        b"GET /a HTTP/1.1" + b"\r\nX: y" * 1001,
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nX: y\r\ncontent-length: 05",
        b"POST /a HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: gzip",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: xchunked",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked, identity",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding:",
        b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked",
    ],
)
def test_bad_heads(data: bytes) -> None:
    with pytest.raises(BadRequest):
        read_head(data)


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        ("1.1", None, True),
        ("1.1", "close", False),
        ("1.1", "Close", False),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("0.9", None, False),
    ],
)
def test_who_keeps_the_connection(version: str, connection: str | None, keeps: bool) -> None:
    line = f"\r\nConnection: {connection}" if connection else ""

    assert read_head(f"GET / HTTP/{version}{line}".encode()).keeps_alive is keeps


@pytest.mark.parametrize(("text", "length"), [("0", 0), ("12", 12), ("012", 12)])
def test_lengths(text: str, length: int) -> None:
    assert read_head(f"POST / HTTP/1.1\r\nContent-Length: {text}".encode()).length == length


@pytest.mark.parametrize("text", ["-5", "+5", "x", "", "1 2", "1, 1", "1e3", "0x1", "9" * 19])
def test_bad_lengths(text: str) -> None:
    with pytest.raises(BadRequest):
        read_head(f"POST / HTTP/1.1\r\nContent-Length: {text}".encode())


def test_a_length_may_be_repeated() -> None:
    head = read_head(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5")

    assert head.length == 5


@pytest.mark.parametrize("coding", ["chunked", "Chunked", " chunked\t"])
def test_bodies_in_chunks(coding: str) -> None:
    head = read_head(f"POST / HTTP/1.1\r\nTransfer-Encoding: {coding}".encode())

    assert (head.is_chunked, head.has_unknown_coding) == (True, False)


def test_a_coding_around_chunks_is_unknown() -> None:
    head = read_head(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked")

    assert (head.is_chunked, head.has_unknown_coding) == (True, True)


@pytest.mark.parametrize(
    ("target", "path", "whole"),
    [
        ("/a", "/a", "/a"),
        ("/a?b=[c".replace("[", "%5B"), "/a", "/a?b=%5Bc"),
        ("/a#f", "/a", "/a#f"),
        ("http://host:1/a?b", "/a", "/a?b"),
        ("/v1/models/m:predict", "/v1/models/m:predict", "/v1/models/m:predict"),
    ],
)
def test_targets(target: str, path: str, whole: str) -> None:
    assert read_target(target) == (path, whole)


@pytest.mark.parametrize("target", ["/a b", "/[a", "/a%zz", "/ä", '/"a"', "/a#b#c"])
def test_targets_that_are_no_uri(target: str) -> None:
    with pytest.raises(BadRequest):
        read_target(target)


def test_a_page_looks_like_that_of_libevent() -> None:
    assert error_page(501).body == (
        b"<HTML><HEAD>\n<TITLE>501 Not Implemented</TITLE>\n</HEAD><BODY>\n"
        b"<H1>Not Implemented</H1>\n</BODY></HTML>\n"
    )


@pytest.mark.parametrize(
    ("request_head", "lines", "stays"),
    [
        (
            b"GET / HTTP/1.1",
            [b"HTTP/1.1 200 OK", b"Content-Type", b"Date", b"Content-Length"],
            True,
        ),
        (
            b"GET / HTTP/1.1\r\nConnection: close",
            [b"HTTP/1.1 200 OK", b"Content-Type", b"Date", b"Content-Length", b"Connection"],
            False,
        ),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive",
            [b"HTTP/1.0 200 OK", b"Content-Type", b"Connection", b"Content-Length"],
            True,
        ),
        (b"GET / HTTP/1.0", [b"HTTP/1.0 200 OK", b"Content-Type"], False),
        (b"HEAD / HTTP/1.1", [b"HTTP/1.1 200 OK", b"Content-Type", b"Date"], True),
    ],
)
def test_the_order_of_headers(request_head: bytes, lines: list[bytes], stays: bool) -> None:
    data, stayed = write_response(Response(200, b"body"), read_head(request_head))

    written, _, body = data.partition(b"\r\n\r\n")
    assert [line.split(b":")[0] for line in written.split(b"\r\n")] == lines
    assert (body, stayed) == (b"body", stays)
