"""Limit the prediction requests that one worker has in flight; refuse the next one at once.

An unbounded queue makes every caller wait until the deadline; a refusal lets a load balancer, or
the caller's own retry, find a free worker. Health routes do not count.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import request

from flask_server.errors import Overloaded
from flask_server.web import request_context


def _ignore(change: int) -> None:
    pass


class InFlight:
    """Counts requests in flight, up to a limit."""

    def __init__(self, limit: int, observe: Callable[[int], None] = _ignore) -> None:
        """``observe`` is called with 1 for each request that begins and -1 for each that ends."""
        self.limit = limit
        self.refusal = (
            f"The limit of {limit} prediction requests in flight is reached; try again soon."
        )
        """The sentence for a client whose request is over the limit."""

        self.count = 0
        self._observe = observe
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Take a slot; return False if all are taken."""
        with self._lock:
            if self.count >= self.limit:
                return False
            self._observe(1)
            self.count += 1
        return True

    def leave(self) -> None:
        """Give the slot back."""
        with self._lock:
            self.count -= 1
            self._observe(-1)


def admit(in_flight: InFlight) -> None:
    """Take a slot for a limited route and write that into the context, or raise Overloaded."""
    context = request_context.current()
    if request.method == "OPTIONS" or not context.route.limited:
        return
    if not in_flight.enter():
        raise Overloaded(in_flight.refusal)
    context.admitted = True


def release(in_flight: InFlight) -> None:
    """Give back the slot of the request if its context says that it has one."""
    context = request_context.current_or_none()
    if context is not None and context.admitted:
        context.admitted = False
        in_flight.leave()
