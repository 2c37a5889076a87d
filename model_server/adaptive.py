"""Batch requests by our own rule: what waits while the engine works becomes the next batch.

An idle server adds no delay and no thread change: the request's own thread runs the model. When
others wait, one of them is woken to run the next batch for all. No timer anywhere.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from model_server.engine import LoadedModel, Signature, Tensors
from model_server.errors import InvalidArgument
from model_server.merging import Rules, Task, row_count, run_tasks

#: Most rows of one joined run: on CPUs bigger ones are not faster per row, only later.
MAX_ROWS: Final = 16


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request that waits for its outputs, or for its turn to run a batch."""

    task: Task
    signature: str
    woken: threading.Event = field(default_factory=threading.Event)
    is_done: bool = False


class AdaptiveModel:
    """A loaded model whose simultaneous runs are joined."""

    def __init__(self, model: LoadedModel, max_rows: int = MAX_ROWS) -> None:
        self._model = model
        self._rules = Rules(max_rows=max_rows)
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._is_running = False

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
        if rows > self._rules.max_rows:
            return self._model.run(signature, inputs)
        return self._take_part(_Waiting(Task(inputs, rows), signature))

    def close(self) -> None:
        """Close the model."""
        self._model.close()

    def _take_part(self, own: _Waiting) -> Tensors:
        with self._lock:
            self._waiting.append(own)
            leads = not self._is_running
            self._is_running = True
        if not leads:
            own.woken.wait()
        if not own.is_done:
            self._lead()
        return own.task.result()

    def _lead(self) -> None:
        """Run the next batch, tell its members, and pass the lead on."""
        with self._lock:
            batch = self._next_batch()
        try:
            run_tasks(
                lambda inputs: self._model.run(batch[0].signature, inputs),
                [member.task for member in batch],
                self._rules,
            )
        finally:
            with self._lock:
                successor = self._waiting[0] if self._waiting else None
                self._is_running = successor is not None
            for member in batch:
                member.is_done = True
                member.woken.set()
            if successor is not None:
                successor.woken.set()

    def _next_batch(self) -> list[_Waiting]:
        """Take the first waiting request and those of its signature that fit in with it."""
        signature, rows = self._waiting[0].signature, 0
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        for waiting in self._waiting:
            fits = (
                waiting.signature == signature and rows + waiting.task.rows <= self._rules.max_rows
            )
            (batch if fits else left).append(waiting)
            rows += waiting.task.rows if fits else 0
        self._waiting = left
        return batch
