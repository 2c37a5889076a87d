"""Name the reasons for which a request ends before the app handles it."""

from __future__ import annotations

from enum import StrEnum


class Unhandled(StrEnum):
    """Why a request ended; the values are those of a label in the metrics."""

    MALFORMED = "malformed"
    """Its head is not valid HTTP, or asks for what is not supported."""

    TOO_LARGE = "too_large"
    """Its first line or its headers are over a limit."""

    NO_ROOM = "no_room"
    """The limit of predictions in flight is reached, or no thread or memory is free for it; it is
    answered with ``overloaded``."""

    TOO_SLOW = "too_slow"
    """It has not arrived whole in time."""

    ABORTED = "aborted"
    """The client has closed the connection before the request has arrived whole."""

    DROPPED = "dropped"
    """The worker has closed the connection without a response: to accept another one, or to end."""
