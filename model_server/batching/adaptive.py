"""Batch requests without a timer: requests that queue while the engine is busy form the next batch.

An idle server adds no delay and no thread switch: the request's own thread runs the model. When
requests are queued, the thread of the longest waiting one runs the next batch for all of its
members.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from model_server.batching.batch_execution import (
    BatchLimits,
    Task,
    deadline_after,
    row_count,
    run_tasks,
)
from model_server.engines.protocol import LoadedModel, Tensors
from model_server.engines.wrapped_model import WrappedModel
from model_server.errors import InvalidArgument

#: Maximum rows of a batch: on CPUs, larger batches are not faster per row but take longer.
MAX_ROWS: Final = 16


@dataclass(eq=False, slots=True)
class _QueuedRequest:
    """A request that waits until its batch has run, or until it has to run a batch itself."""

    task: Task
    signature: str
    woken: threading.Event = field(default_factory=threading.Event)

    batch: Sequence[_QueuedRequest] = ()
    """The batch that this request's thread has to run; empty if another thread runs it."""


class AdaptiveModel(WrappedModel):
    """A loaded model whose concurrent requests are batched, with at most ``max_in_flight`` runs."""

    def __init__(self, model: LoadedModel, max_in_flight: int, max_rows: int = MAX_ROWS) -> None:
        super().__init__(model)
        self._limits = BatchLimits(max_rows=max_rows)
        self._free_slots = max_in_flight
        self._lock = threading.Lock()
        self._waiting: deque[_QueuedRequest] = deque()

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Run the inputs in a batch with the queued requests of the same signature."""
        try:
            rows = row_count(inputs)
        except InvalidArgument:
            return self._model.run(signature, inputs, timeout_s)
        if rows > self._limits.max_rows:
            return self._model.run(signature, inputs, timeout_s)
        task = Task(inputs, rows, deadline=deadline_after(timeout_s))
        return self._run_batched(_QueuedRequest(task, signature))

    def _run_batched(self, own: _QueuedRequest) -> Tensors:
        with self._lock:
            self._waiting.append(own)
            self._start_next_batch()
        own.woken.wait()
        if own.batch:
            self._run_batch(own.batch)
        return own.task.result()

    def _start_next_batch(self) -> None:
        """Wake the longest waiting request to run the next batch, if a slot is free."""
        if self._free_slots and self._waiting:
            self._free_slots -= 1
            batch = self._next_batch()
            batch[0].batch = batch
            batch[0].woken.set()

    def _run_batch(self, batch: Sequence[_QueuedRequest]) -> None:
        """Run the batch, start the next one, and wake the members."""
        try:
            run_tasks(
                lambda inputs, limit_s: self._model.run(batch[0].signature, inputs, limit_s),
                [member.task for member in batch],
                self._limits,
            )
        finally:
            batch[0].batch = ()  # breaks a reference cycle that would keep all inputs in memory
            with self._lock:
                self._free_slots += 1
                self._start_next_batch()
            for member in batch[1:]:
                member.woken.set()

    def _next_batch(self) -> list[_QueuedRequest]:
        """Dequeue the first request and those of its signature that fit into the same batch."""
        signature, rows = self._waiting[0].signature, 0
        batch: list[_QueuedRequest] = []
        left: deque[_QueuedRequest] = deque()
        for waiting in self._waiting:
            fits = (
                waiting.signature == signature and rows + waiting.task.rows <= self._limits.max_rows
            )
            (batch if fits else left).append(waiting)
            rows += waiting.task.rows if fits else 0
        self._waiting = left
        return batch
