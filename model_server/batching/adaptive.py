"""Batch requests by our own rule: what waits while the engine works becomes the next batch.

An idle server adds no delay and no thread change: the request's own thread runs the model. When
others wait, one of them is woken to run the next batch for all. No timer anywhere. One run
more is under way than the engine computes, so that its pictures are ready when the engine is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from model_server.batching.batch_execution import BatchLimits, Task, row_count, run_tasks
from model_server.engines.protocol import LoadedModel, Signature, Tensors
from model_server.errors import InvalidArgument

#: Most rows of one joined run: on CPUs bigger ones are not faster per row, only later.
MAX_ROWS: Final = 16


@dataclass(eq=False, slots=True)
class _QueuedRequest:
    """A request that waits for its outputs, or for its turn to run a batch."""

    task: Task
    signature: str
    woken: threading.Event = field(default_factory=threading.Event)

    batch: Sequence[_QueuedRequest] = ()
    """The batch that this request has to run, itself first; empty when another runs it."""


class AdaptiveModel:
    """A loaded model whose simultaneous runs are joined."""

    def __init__(self, model: LoadedModel, max_in_flight: int, max_rows: int = MAX_ROWS) -> None:
        self._model = model
        self._limits = BatchLimits(max_rows=max_rows)
        self._free_slots = max_in_flight
        self._lock = threading.Lock()
        self._waiting: deque[_QueuedRequest] = deque()

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures of the model."""
        return self._model.signatures

    def run(self, signature: str, inputs: Tensors) -> Tensors:
        """Run the inputs, joined with whatever else waits for the same signature."""
        try:
            rows = row_count(inputs)
        except InvalidArgument:
            return self._model.run(signature, inputs)
        if rows > self._limits.max_rows:
            return self._model.run(signature, inputs)
        return self._run_batched(_QueuedRequest(Task(inputs, rows), signature))

    def close(self) -> None:
        """Close the model."""
        self._model.close()

    def _run_batched(self, own: _QueuedRequest) -> Tensors:
        with self._lock:
            self._waiting.append(own)
            self._start_next_batch()
        own.woken.wait()
        if own.batch:
            self._run_batch(own.batch)
        return own.task.result()

    def _start_next_batch(self) -> None:
        """Let the longest waiting request run the next batch, if there may be another run."""
        if self._free_slots and self._waiting:
            self._free_slots -= 1
            batch = self._next_batch()
            batch[0].batch = batch
            batch[0].woken.set()

    def _run_batch(self, batch: Sequence[_QueuedRequest]) -> None:
        """Run the batch, pass the turn on, and tell its members."""
        try:
            run_tasks(
                lambda inputs: self._model.run(batch[0].signature, inputs),
                [member.task for member in batch],
                self._limits,
            )
        finally:
            batch[0].batch = ()  # it is in its own list: such a ring would keep all inputs
            with self._lock:
                self._free_slots += 1
                self._start_next_batch()
            for member in batch[1:]:
                member.woken.set()

    def _next_batch(self) -> list[_QueuedRequest]:
        """Take the first waiting request and those of its signature that fit in with it."""
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
