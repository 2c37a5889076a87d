"""A processor for the clients alone, so that they take no time from the servers.

Clients have machines of their own, mostly. Here they run on the machine of the servers, and a rate
of ten times the capacity takes a good part of a processor to send.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Processors:
    """The processors of this machine; both sets are the same where there is only one."""

    servers: Set[int]
    clients: Set[int]


def divided() -> Processors:
    """Leave the last processor to the clients."""
    every = sorted(_allowed())
    return Processors(set(every[:-1] or every), set(every[-1:]))


@contextmanager
def started_on(processors: Set[int]) -> Iterator[None]:
    """Let processes that are started in the block run on these processors only."""
    before = _allowed()
    _allow(processors)
    try:
        yield
    finally:
        _allow(before)


def _allowed() -> Set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _allow(processors: Set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, processors)
