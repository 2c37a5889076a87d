"""Batch requests as --enable_batching does: a queue per signature, threads shared by all queues.

A queue holds batches; requests are added to the last one. A batch is due when a newer batch exists
in its queue, when it is full, or when its oldest request has waited for ``batch_timeout_s``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

from model_server.batching.batch_execution import (
    BatchLimits,
    Task,
    deadline_after,
    row_count,
    run_tasks,
)
from model_server.cpus import CPUS
from model_server.engines.protocol import LoadedModel, Tensors
from model_server.engines.wrapped_model import WrappedModel
from model_server.errors import (
    InvalidArgument,
    ModelServerError,
    ResourceExhausted,
    Unavailable,
)
from model_server.internal_errors import as_internal_error


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchingOptions:
    """The batching parameters, with TensorFlow Serving's defaults."""

    max_batch_size: int = 1000
    """Maximum rows of one request, and of one batch unless large requests are split."""

    batch_timeout_s: float = 0.0
    """Seconds that a batch which is not full waits for more requests."""

    max_enqueued_batches: int = 10
    """Maximum number of queued batches; requests beyond that are refused."""

    allowed_batch_sizes: tuple[int, ...] = ()
    """If not empty: the only batch sizes to run; smaller batches are filled up to the next one."""

    pads_inputs: bool = False
    """Batches requests of different shapes, padded to the largest one."""

    max_execution_batch_size: int | None = None
    """Maximum rows of one run when large requests are split; None means no splitting."""

    queue_timeout_s: float | None = None
    """Seconds after which a batch fails if all of its requests still wait; None means no limit."""

    def __post_init__(self) -> None:
        if self.allowed_batch_sizes and self.allowed_batch_sizes[-1] != self.run_rows:
            raise InvalidArgument(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was"
                f" {self.allowed_batch_sizes[-1]}; expected {self.run_rows}"
            )

    @property
    def run_rows(self) -> int:
        """Maximum rows of one run."""
        return self.max_execution_batch_size or self.max_batch_size


@dataclass(eq=False, slots=True)
class _QueuedRequest:
    """A task in a queue, and the time when it was added."""

    task: Task
    since: float
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False, slots=True)
class _Batch:
    members: list[_QueuedRequest] = field(default_factory=list)
    rows: int = 0


class _Queue:
    """The batches of one signature of one model version; guarded by the scheduler's lock."""

    def __init__(self, model: LoadedModel, signature: str, options: BatchingOptions) -> None:
        self._model = model
        self._signature = signature
        self._options = options
        self._batches: deque[_Batch] = deque([_Batch()])

    def add(self, waiting: _QueuedRequest) -> None:
        open_batch = self._batches[-1]
        if open_batch.members and open_batch.rows + waiting.task.rows > self._options.run_rows:
            open_batch = self._open_another()
        open_batch.members.append(waiting)
        open_batch.rows += waiting.task.rows

    def _open_another(self) -> _Batch:
        count, limit = len(self._batches), self._options.max_enqueued_batches
        if count >= limit:
            raise Unavailable(
                "The batch scheduling queue to which this task was submitted is full; currently"
                f" {count} batches enqueued and max_enqueued_batches is {limit}"
            )
        self._batches.append(_Batch())
        return self._batches[-1]

    def due_at(self) -> float:
        """Return the time at which the first batch may run; infinity if it is empty."""
        first = self._batches[0]
        if not first.members:
            return inf
        if len(self._batches) > 1 or first.rows >= self._options.run_rows:
            return 0.0
        return first.members[0].since + self._options.batch_timeout_s

    def pop_batch(self) -> _Batch:
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append(_Batch())
        return batch

    def run(self, batch: _Batch) -> None:
        """Set the outputs or the error of every member; called without the lock."""
        try:
            self._run(batch)
        finally:
            for waiting in batch.members:
                waiting.done.set()

    def _run(self, batch: _Batch) -> None:
        if all(self._is_overdue(waiting) for waiting in batch.members):
            for waiting in batch.members:
                waiting.task.error = ResourceExhausted(
                    "Run() timeout exceeded while waiting in batching queue"
                )
        else:
            limits = BatchLimits(
                max_rows=self._options.run_rows,
                allowed_rows=self._options.allowed_batch_sizes,
                pads_inputs=self._options.pads_inputs,
            )
            tasks = [waiting.task for waiting in batch.members]
            run_tasks(
                lambda inputs, limit_s: self._model.run(self._signature, inputs, limit_s),
                tasks,
                limits,
            )

    def _is_overdue(self, waiting: _QueuedRequest) -> bool:
        end = waiting.task.deadline
        if end is None:
            end = waiting.since + (self._options.queue_timeout_s or inf)
        return end < time.monotonic()


class BatchScheduler:
    """Threads that run the batches of all queues, one queue after the other."""

    def __init__(self, threads: int = CPUS) -> None:
        self._changed = threading.Condition()
        self._queues: deque[_Queue] = deque()
        self._closed = False
        for number in range(threads):
            name = f"batch {number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def open_queue(self, model: LoadedModel, signature: str, options: BatchingOptions) -> _Queue:
        """Return a new queue; the threads run its batches until it is dropped."""
        queue = _Queue(model, signature, options)
        with self._changed:
            self._queues.append(queue)
        return queue

    def drop(self, queues: list[_Queue]) -> None:
        """Remove these queues."""
        with self._changed:
            self._queues = deque(queue for queue in self._queues if queue not in queues)

    def submit(self, queue: _Queue, task: Task) -> Tensors:
        """Wait until the task has been run as part of a batch; Unavailable once it is closed."""
        waiting = _QueuedRequest(task, time.monotonic())
        with self._changed:
            if self._closed:
                raise Unavailable("The server is stopping.")
            queue.add(waiting)
            self._changed.notify()
        waiting.done.wait()
        return task.result()

    def close(self) -> None:
        """Let the threads end after the batches that are queued, which no longer wait for more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            queue, batch = job
            with suppress(ModelServerError), as_internal_error("running a batch"):
                queue.run(batch)

    def _next(self) -> tuple[_Queue, _Batch] | None:
        """Wait for a batch that is due and dequeue it; return None when the scheduler is closed."""
        with self._changed:
            while True:
                now = time.monotonic()
                for _ in range(len(self._queues)):
                    self._queues.rotate(-1)
                    due_at = self._queues[-1].due_at()
                    if due_at <= now or (self._closed and due_at < inf):
                        return self._queues[-1], self._queues[-1].pop_batch()
                if self._closed:
                    return None
                soonest = min((queue.due_at() for queue in self._queues), default=inf)
                self._changed.wait(min(soonest - now, threading.TIMEOUT_MAX))


class BatchedModel(WrappedModel):
    """A loaded model whose requests go through the queues of a scheduler."""

    def __init__(
        self, model: LoadedModel, scheduler: BatchScheduler, options: BatchingOptions
    ) -> None:
        super().__init__(model)
        self._scheduler = scheduler
        self._options = options
        self._queues = {
            name: scheduler.open_queue(model, name, options) for name in model.signatures
        }

    def run(self, signature: str, inputs: Tensors, timeout_s: float | None = None) -> Tensors:
        """Run the inputs as part of a batch."""
        rows = row_count(inputs)
        if rows > self._options.max_batch_size:
            raise InvalidArgument(
                f"Task size {rows} is larger than maximum input batch size"
                f" {self._options.max_batch_size}"
            )
        task = Task(inputs, rows, deadline=deadline_after(timeout_s))
        return self._scheduler.submit(self._queues[signature], task)

    def close(self) -> None:
        """Remove the queues and close the model."""
        self._scheduler.drop(list(self._queues.values()))
        super().close()
