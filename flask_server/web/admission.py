"""Bound how many predictions one worker has at work; refuse the next one at once.

A queue without end makes every caller wait for the deadline; a refusal lets a load balancer, or the
caller's own retry, find a free worker. Health routes do not count.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from flask import Flask, current_app, g, request

from flask_server.errors import Overloaded

View = TypeVar("View", bound=Callable[..., object])

_COUNTED = "counts_as_work"


def counted(view: View) -> View:
    """Mark a view whose requests count as work."""
    setattr(view, _COUNTED, True)
    return view


class InFlight:
    """Counts what is at work, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Take a place; False when all are taken."""
        with self._lock:
            if self.count >= self.limit:
                return False
            self.count += 1
            return True

    def leave(self) -> None:
        """Give the place back."""
        with self._lock:
            self.count -= 1


def init_app(app: Flask, limit: int) -> None:
    """Bound the counted views of the app."""
    in_flight = InFlight(limit)
    app.before_request(lambda: _enter(in_flight))
    app.teardown_request(lambda _: _leave(in_flight))


def _enter(in_flight: InFlight) -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if request.method == "OPTIONS" or not getattr(view, _COUNTED, False):
        return
    if not in_flight.enter():
        raise Overloaded(f"{in_flight.limit} predictions are at work already; try again soon.")
    g.at_work = True


def _leave(in_flight: InFlight) -> None:
    if g.pop("at_work", False):
        in_flight.leave()
