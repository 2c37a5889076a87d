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

from model_server.batching.batch_execution import Rules, Task, row_count, run_tasks
from model_server.engines.protocol import LoadedModel, Signature, Tensors
from model_server.errors import InvalidArgument

#: Most rows of one joined run: on CPUs bigger ones are not faster per row, only later.
MAX_ROWS: Final = 16


@dataclass(eq=False, slots=True)
class _Waiting:
    """A request that waits for its outputs, or for its turn to run a batch."""

    task: Task
    signature: str
    woken: threading.Event = field(default_factory=threading.Event)

    led: Sequence[_Waiting] = ()
    """The batch that this request has to run, itself first; empty when another runs it."""


class AdaptiveModel:
    """A loaded model whose simultaneous runs are joined."""

    def __init__(self, model: LoadedModel, under_way: int, max_rows: int = MAX_ROWS) -> None:
        self._model = model
        self._rules = Rules(max_rows=max_rows)
        self._free = under_way
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

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
            self._give_turn()
        own.woken.wait()
        if own.led:
            self._run_batch(own.led)
        return own.task.result()

    def _give_turn(self) -> None:
        """Let the longest waiting request run the next batch, if there may be another run."""
        if self._free and self._waiting:
            self._free -= 1
            batch = self._next_batch()
            batch[0].led = batch
            batch[0].woken.set()

    def _run_batch(self, batch: Sequence[_Waiting]) -> None:
        """Run the batch, pass the turn on, and tell its members."""
        try:
            run_tasks(
                lambda inputs: self._model.run(batch[0].signature, inputs),
                [member.task for member in batch],
                self._rules,
            )
        finally:
            batch[0].led = ()  # it is in its own list: such a ring would keep all inputs
            with self._lock:
                self._free += 1
                self._give_turn()
            for member in batch[1:]:
                member.woken.set()

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
