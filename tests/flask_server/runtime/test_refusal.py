"""The response to a request for which a worker has no room."""

from __future__ import annotations

import json
from email.message import Message
from http.client import parse_headers
from io import BytesIO

import pytest

from flask_server.runtime import refusal

HEAD = b"POST /models/toy/predict HTTP/1.1\r\nHost: x\r\n"


def parsed(response: bytes) -> tuple[bytes, Message, dict[str, object]]:
    """The status line, the headers and the problem document of a response."""
    reader = BytesIO(response)
    line, headers = reader.readline(), parse_headers(reader)
    body = reader.read()
    assert headers["Content-Length"] == str(len(body))
    return line, headers, json.loads(body)


@pytest.mark.parametrize("request_id", ["0", "a.b:c_d-e", "1" * 128])
def test_it_is_a_problem_document_with_the_id_of_the_request(request_id: str) -> None:
    head = HEAD + b"X-Request-ID: %b\r\n" % request_id.encode()

    assert refusal.request_id(head) == request_id
    line, headers, problem = parsed(refusal.response(head, request_id, "Full.", ()))
    assert line == b"HTTP/1.1 503 Service Unavailable\r\n"
    assert headers["Content-Type"] == "application/problem+json"
    assert (headers["Retry-After"], headers["Connection"]) == ("1", "close")
    assert headers["X-Request-ID"] == problem["request_id"] == request_id
    assert (problem["code"], problem["detail"]) == ("overloaded", "Full.")


@pytest.mark.parametrize("line", [b"", b"X-Request-ID: \xff\r\n", b"X-Request-ID: a b\r\n"])
def test_an_id_that_is_not_well_formed_is_replaced(line: bytes) -> None:
    made = refusal.request_id(HEAD + line)

    assert len(made) == 32
    assert made != refusal.request_id(HEAD + line)


@pytest.mark.parametrize("end", [b"\n", b"x\r\n", b""])
def test_a_head_full_of_blanks_is_read_in_no_time(end: bytes) -> None:
    blanks = b" " * 100_000  # a pattern that tries each of them again takes hours

    head = HEAD + b"X-Request-ID:" + blanks + end + b"Origin:" + blanks + end

    assert refusal.response(head, refusal.request_id(head), "Full.", ("http://a",))


@pytest.mark.parametrize(
    ("origin", "origins", "allowed", "vary"),
    [
        (b"http://a", ("*",), "*", None),
        (b"http://a", ("http://b", "http://a"), "http://a", "Origin"),
        (b"HTTP://A", ("http://a",), "http://a", "Origin"),
        (b"http://c", ("http://a",), None, None),
        (b"", ("http://a",), None, None),
        (b"http://a", (), None, None),
    ],
)
def test_origins_that_may_read_responses_may_read_it(
    origin: bytes, origins: tuple[str, ...], allowed: str | None, vary: str | None
) -> None:
    head = HEAD + b"origin:%b\r\n" % origin

    _, headers, _ = parsed(refusal.response(head, "id", "Full.", origins))

    assert headers["Access-Control-Allow-Origin"] == allowed
    assert headers["Vary"] == vary
    exposed = headers["Access-Control-Expose-Headers"]
    assert exposed == (allowed and "Retry-After, X-Request-ID")
