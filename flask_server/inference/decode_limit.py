"""Limit how many requests for one model hold decoded images at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from flask_server.deadline import Deadline
from flask_server.errors import Overloaded
from flask_server.serving.request_batching import MAX_BATCH


def max_decoded_requests(max_inflight_calls: int) -> int:
    """Return the maximum number of requests per model and worker that hold decoded images.

    It is enough for the calls in flight and the next call. Further requests wait with their images
    still encoded, since a decoded image takes many times the memory of its file.
    """
    return (max_inflight_calls + 1) * MAX_BATCH


class DecodeLimit:
    """The slots for decoded images, per model; safe to use from several threads."""

    def __init__(self, models: Callable[[], Collection[str]], max_inflight_calls: int) -> None:
        """Take a function that returns the names of the present models, which may change."""
        self._models = models
        self._count = max_decoded_requests(max_inflight_calls)
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._changing = threading.Lock()

    @contextmanager
    def slot(self, model: str, deadline: Deadline) -> Iterator[None]:
        """Hold one slot of the model; raise Overloaded if none becomes free before the deadline."""
        slots = self._slots_of(model)
        if not slots.acquire(timeout=deadline.left()):
            raise Overloaded(
                f"Other requests for model {model} kept this one waiting for its whole deadline of"
                f" {deadline.seconds:g} s; try again."
            )
        try:
            yield
        finally:
            slots.release()

    def _slots_of(self, model: str) -> threading.BoundedSemaphore:
        """Return the slots of a model; those of removed models are forgotten when one is added."""
        with self._changing:
            if model not in self._slots:
                present = self._models()
                kept = {name: slots for name, slots in self._slots.items() if name in present}
                self._slots = kept | {model: threading.BoundedSemaphore(self._count)}
            return self._slots[model]
