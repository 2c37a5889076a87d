"""How each server cuts a byte stream into requests, without sockets between processes.

The smuggling tests and the fuzz targets compare the two readings: a stream that means one thing to
one server and another thing to the other would let a caller hide a request from a proxy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import NoMoreData, ParseException

from flask_server.runtime.arrival import Arrival
from flask_server.runtime.bad_request_page import LONGEST_LINE, MOST_HEADERS
from flask_server.runtime.connection import ArrivedSocket
from model_server.transport.http_messages import Request
from model_server.transport.request_reader import RequestReader

#: Largest body in bytes.
LIMIT = 1000

#: Method and body of a request.
Reading = tuple[str, bytes]


@dataclass
class Readings:
    """The requests of a stream, in order."""

    requests: list[Reading] = field(default_factory=list)
    refused: bool = False
    """Whether a refusal ended the stream."""


@cache
def _config() -> Config:
    config = Config()
    config.set("limit_request_line", LONGEST_LINE)
    config.set("limit_request_field_size", LONGEST_LINE)
    config.set("limit_request_fields", MOST_HEADERS)
    config.set("forwarder_headers", "")
    return config


def of_gateway(stream: bytes, piece: int | None = None) -> Readings:
    """Read a stream as the gateway's worker does: its arrival, then gunicorn's parser."""
    found, rest = Readings(), stream
    with ArrivedSocket() as sock:
        parser = RequestParser(_config(), sock, ("127.0.0.1", 1))
        while rest:
            arrival = _arrived(rest, piece)
            if not arrival.complete:
                break
            sock.load(arrival.buffer)
            if not _one(parser, found):
                break
            rest = parser.unreader.take_buffered() + sock.take_rest()
    return found


def _arrived(stream: bytes, piece: int | None) -> Arrival:
    """Feed the stream, in pieces of some bytes; the worker stops when a request is complete."""
    arrival = Arrival(LIMIT, 0.0)
    for start in range(0, len(stream), piece or len(stream)):
        data = stream[start : start + (piece or len(stream))]
        if arrival.complete:
            arrival.buffer += data  # the worker reads it from the socket later
        else:
            arrival.feed(data, 0.0)
    return arrival


def _one(parser: Any, found: Readings) -> bool:
    """Read one request; tell whether another may follow."""
    try:
        message = next(parser)
        body = message.body.read()
        if len(body) > LIMIT:
            raise ParseException
    except NoMoreData:
        return False
    except (ParseException, StopIteration):
        found.refused = True
        return False
    found.requests.append((message.method, body))
    return not message.should_close()


def of_model_server(stream: bytes, piece: int | None = None) -> Readings:
    """Read a stream as the embedded model server does."""
    reader, found = RequestReader(LIMIT), Readings()
    for start in range(0, len(stream), piece or max(1, len(stream))):
        reader.feed(stream[start : start + (piece or len(stream))])
        while (arrival := reader.next()) is not None:
            if arrival.head is None or not isinstance(arrival.content, Request):
                found.refused = True
                return found
            found.requests.append((arrival.content.method, arrival.content.body))
            if not arrival.head.keeps_alive:
                return found
    return found


def agree(one: Readings, other: Readings) -> bool:
    """Tell whether one server reads the beginning of what the other reads, or the same."""
    shorter = min(len(one.requests), len(other.requests))
    return one.requests[:shorter] == other.requests[:shorter]
