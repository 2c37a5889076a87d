"""Batch the images of concurrent requests for one model version into one call to Serving.

A call has a fixed cost, and engines compute a batch faster than single images. While a worker has a
call for a model in flight, further requests are queued; they form the next call as soon as that one
ends or enough images are queued for a concurrent call. Without a call in flight nothing is queued.
There is no timer and no thread: the thread of the first request of a batch sends the call for all.

If Serving refuses a batch, each of its requests is sent again alone, so that an error reaches only
the request that causes it. The same happens to the other requests when the deadline of the request
whose thread sends the call has passed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, Overloaded, ServingError, ServingTimeout, copied
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.scores import Scores
from flask_server.serving.upstream import ServableGone
from serving_tracing import spans

if TYPE_CHECKING:
    from serving_tracing.tracing import Waiting

#: Minimum number of queued images, divided by the number of concurrent calls, before another call
#: is sent beside those in flight; see ``RequestBatcher._may_send``. With two concurrent calls that
#: is six images, with three it is four.
MIN_QUEUED = 12
#: Maximum number of images in one call. A request with more images is sent alone. Engines gain
#: little from larger batches, and with smaller ones the worker decodes while Serving computes.
MAX_BATCH = 8

Images = Sequence[Pixels]
#: Sends one predict call to Serving and returns the scores of each image.
PredictCall = Callable[[Images, Deadline], list[Scores]]


@dataclass(eq=False, slots=True)
class _QueuedRequest:
    """The images of one request, and the result of the call that they were part of."""

    version: int
    images: Images

    wake: threading.Event = field(default_factory=threading.Event)
    """Set when this request has to send ``batch``, or when its call has ended."""

    batch: Sequence[_QueuedRequest] = ()
    """The requests to send a call for, this one first; empty if another request sends it."""

    alone: bool = True
    """Whether the call has the images of this request only."""

    cancelled: bool = False
    """Whether the deadline has passed, so that this request would never send a call."""

    scores: list[Scores] | None = None
    error: Exception | None = None

    waiting: Waiting | None = field(default_factory=spans.waiting)
    """The start of the wait in the trace of the request, if it is traced."""


class RequestBatcher:
    """Batches the requests of one worker for one model; safe to use from several threads."""

    def __init__(self, max_inflight_calls: int, max_batch: int = MAX_BATCH) -> None:
        self._max_inflight_calls = max_inflight_calls
        self._min_queued = max(1, MIN_QUEUED // max_inflight_calls)
        self._max_batch = max_batch
        self._lock = threading.Lock()
        self._queue: list[_QueuedRequest] = []
        self._in_flight: list[Sequence[_QueuedRequest]] = []

    def predict(
        self, version: int, images: Images, call: PredictCall, deadline: Deadline
    ) -> list[Scores]:
        """Return the scores of each image; the call may be shared with other requests.

        Raises what ``call`` raises, and ServingTimeout at the deadline.
        """
        left = deadline.left()  # may raise ServingTimeout, so it comes before queueing
        request = _QueuedRequest(version, images)
        with self._lock:
            self._queue.append(request)
            self._start_calls()
        if not request.wake.wait(left):
            self._cancel(request)
            raise deadline.passed()
        if request.batch:
            self._send(request.batch, call, deadline)
        if request.scores is None:
            return self._retry_alone(request, call, deadline)
        return request.scores

    def _start_calls(self) -> None:
        """Form batches and wake the first request of each, as long as a call may be sent."""
        while self._queue and self._may_send():
            batch = self._take_batch()
            self._in_flight.append(batch)
            for request in batch:
                request.alone = len(batch) == 1
            batch[0].batch = batch
            batch[0].wake.set()

    def _may_send(self) -> bool:
        """Tell whether a call now is better than a larger one later.

        Beside calls in flight, another one is sent when as many images are queued as are in flight,
        or ``_min_queued``. Few clients then alternate between decoding here and computing in
        Serving, and many clients share calls.
        """
        in_flight, queued = sum(map(_image_count, self._in_flight)), _image_count(self._queue)
        free = len(self._in_flight) < self._max_inflight_calls
        return free and queued >= min(self._min_queued, in_flight)

    def _take_batch(self) -> list[_QueuedRequest]:
        """Remove the oldest requests of one version that fit into one call, at least one."""
        room = self._max_batch
        batch: list[_QueuedRequest] = []
        for request in self._queue:
            room -= len(request.images)
            if batch and (room < 0 or request.version != batch[0].version):
                break
            batch.append(request)
        del self._queue[: len(batch)]
        return batch

    def _send(self, batch: Sequence[_QueuedRequest], call: PredictCall, deadline: Deadline) -> None:
        """Send one call for the batch, give each request its result, and start the next calls."""
        try:
            images = [image for request in batch for image in request.images]
            with spans.batch(batch, wait="batch wait", shared="shared call"):
                scores = iter(call(images, deadline))
            for request in batch:
                request.scores = list(islice(scores, len(request.images)))
        except (GatewayError, ServableGone) as error:
            for request in batch:
                request.error = copied(error)
        except MemoryError:
            for request in batch:
                request.error = Overloaded(
                    "There was not enough memory for a call to the model server."
                )
        finally:
            self._end_call(batch)
            for request in batch[1:]:
                request.wake.set()

    def _end_call(self, batch: Sequence[_QueuedRequest]) -> None:
        # The first request refers to the batch that contains it. Without breaking this cycle, all
        # images would stay in memory until the next garbage collection.
        batch[0].batch = ()
        with self._lock:
            self._in_flight.remove(batch)
            self._start_calls()

    def _retry_alone(
        self, request: _QueuedRequest, call: PredictCall, deadline: Deadline
    ) -> list[Scores]:
        """Send the request alone if another one may have failed the batch, else raise its error."""
        if isinstance(request.error, ServingError | ServingTimeout) and not request.alone:
            return call(request.images, deadline)
        if request.error is None:
            raise RuntimeError("the call of this batch ended with an internal error")
        raise copied(request.error)

    def _cancel(self, request: _QueuedRequest) -> None:
        """Take the request out of the queue.

        If it was woken to send a batch just now, the other requests of that batch are queued again.
        """
        with self._lock:
            request.cancelled = True
            if request in self._queue:
                self._queue.remove(request)
                return
            self._queue[:0] = [other for other in request.batch[1:] if not other.cancelled]
        if request.batch:
            self._end_call(request.batch)


def _image_count(requests: Sequence[_QueuedRequest]) -> int:
    return sum(len(request.images) for request in requests)
