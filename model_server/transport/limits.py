"""Limits of what a server holds for its clients, and the responses where one is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model_server.transport.http_messages import Response, error_response

MAX_BODY_BYTES: Final = 256 << 20
MAX_TOTAL_BYTES: Final = 512 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the server holds at most for its clients."""

    max_body_bytes: int = MAX_BODY_BYTES
    """Size of the largest request body."""

    connections: int | None = None
    """Number of connections; None derives it from the process's limit of file descriptors."""


def no_memory() -> Response:
    """Return the response to a request that does not fit into the memory for all of them."""
    text = (
        "The request bodies of all connections have reached the limit that"
        " --rest_api_max_total_bytes sets; try again."
    )
    return error_response(503, text, ("Retry-After", "1"))


def no_memory_left() -> Response:
    """Return the response to a request that the process has no memory for."""
    text = "The server has no memory for the request; try again."
    return error_response(503, text, ("Retry-After", "1"))


def no_thread() -> Response:
    """Return the response to a request that no thread can be started for."""
    text = "The server cannot start a thread for the request; try again."
    return error_response(503, text, ("Retry-After", "1"))


def too_slow() -> Response:
    """Return the response to a request that takes too long to arrive."""
    return error_response(408, "The request arrives too slowly.")
