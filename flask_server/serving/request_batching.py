"""Put pictures that wait for the same model version into one call to Serving.

A call costs time beyond the arithmetic, and engines do several pictures faster than one at a time.
So while a worker has a call for a model under way, what comes in waits, until that is answered or
enough has come for another. Where nothing is under way nothing waits. There is no timer and no
thread of its own: a caller whose turn it is sends for all that wait with it.

An error of Serving about a merged call is settled one by one, so it reaches only its owner; so is a
call that ran out of the time of whoever sent it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from flask_server.deadline import Deadline
from flask_server.errors import GatewayError, ServingError, ServingTimeout
from flask_server.imaging.preprocessing import Pixels
from flask_server.serving.client import ServableGone
from flask_server.serving.scores import Scores

#: Pictures that are waited for while other calls are under way, as many as may be together; see
#: ``RequestBatcher._may_send``. Two calls then have six each at least, three have four.
MIN_QUEUED = 12
#: Most pictures in one call; a single request may bring more and then goes alone. Engines gain
#: little beyond that, and with fewer the worker decodes some while Serving has the others.
MAX_BATCH = 8

Pictures = Sequence[Pixels]
#: Asks Serving for the scores of some pictures.
Ask = Callable[[Pictures, Deadline], list[Scores]]


@dataclass(eq=False, slots=True)
class _Job:
    """One caller's pictures, and what became of them."""

    version: int
    pictures: Pictures
    turn: threading.Event = field(default_factory=threading.Event)

    batch: Sequence[_Job] = ()
    """What this caller has to send for, itself first; empty when another did it."""

    alone: bool = True
    cancelled: bool = False
    """Whether its caller has given up, so that nobody would take a turn."""

    scores: list[Scores] | None = None
    error: Exception | None = None


class RequestBatcher:
    """Merges the calls of one worker for one model; safe to use from several threads."""

    def __init__(self, under_way: int, most: int = MAX_BATCH) -> None:
        self._under_way = under_way
        self._enough = max(1, MIN_QUEUED // under_way)
        self._most = most
        self._lock = threading.Lock()
        self._waiting: list[_Job] = []
        self._in_flight: list[Sequence[_Job]] = []

    def ask(self, version: int, pictures: Pictures, ask: Ask, deadline: Deadline) -> list[Scores]:
        """Return the scores of the pictures, asked for together with whoever waits as well."""
        left = deadline.left()  # may raise, so not once there is a turn to pass on
        job = _Job(version, pictures)
        with self._lock:
            self._waiting.append(job)
            self._give_turns()
        if not job.turn.wait(left):
            self._give_up(job)
            raise deadline.passed()
        if job.batch:
            self._send(job.batch, ask, deadline)
        if job.scores is None:
            return self._settle(job, ask, deadline)
        return job.scores

    def _give_turns(self) -> None:
        """Let the next callers send, as many as may be under way."""
        while self._waiting and self._may_send():
            batch = self._next()
            self._in_flight.append(batch)
            for job in batch:
                job.alone = len(batch) == 1
            batch[0].batch = batch
            batch[0].turn.set()

    def _may_send(self) -> bool:
        """Tell whether a call now is better than a larger one later.

        Beside another call it is when it has as many pictures as that one, or enough: so a few
        callers take turns in being decoded and being computed, and many share calls.
        """
        in_flight, waiting = sum(map(_count, self._in_flight)), _count(self._waiting)
        return len(self._in_flight) < self._under_way and waiting >= min(self._enough, in_flight)

    def _next(self) -> list[_Job]:
        """Take the longest waiting jobs of one version that fit into one call, at least one."""
        room = self._most
        batch: list[_Job] = []
        for job in self._waiting:
            room -= len(job.pictures)
            if batch and (room < 0 or job.version != batch[0].version):
                break
            batch.append(job)
        del self._waiting[: len(batch)]
        return batch

    def _send(self, batch: Sequence[_Job], ask: Ask, deadline: Deadline) -> None:
        """Ask for all led jobs, pass the turn on, and hand out what came back."""
        try:
            scores = iter(ask([p for job in batch for p in job.pictures], deadline))
            for job in batch:
                job.scores = list(islice(scores, len(job.pictures)))
        except (GatewayError, ServableGone) as error:
            for job in batch:
                job.error = error
        finally:
            self._pass_on(batch)
            for job in batch[1:]:
                job.turn.set()

    def _pass_on(self, batch: Sequence[_Job]) -> None:
        # The first is in its own list: such a ring would keep all pictures for a while.
        batch[0].batch = ()
        with self._lock:
            self._in_flight.remove(batch)
            self._give_turns()

    def _settle(self, job: _Job, ask: Ask, deadline: Deadline) -> list[Scores]:
        """Raise what Serving said, or ask alone where another's picture or time may be why."""
        if isinstance(job.error, ServingError | ServingTimeout) and not job.alone:
            return ask(job.pictures, deadline)
        raise job.error or RuntimeError("the caller that asked for this job ended by a defect")

    def _give_up(self, job: _Job) -> None:
        """Leave the queue; a turn that came at the last moment goes to those behind."""
        with self._lock:
            job.cancelled = True
            if job in self._waiting:
                self._waiting.remove(job)
                return
            self._waiting[:0] = [behind for behind in job.batch[1:] if not behind.cancelled]
        if job.batch:
            self._pass_on(job.batch)


def _count(jobs: Sequence[_Job]) -> int:
    """Return how many pictures the jobs have."""
    return sum(len(job.pictures) for job in jobs)
