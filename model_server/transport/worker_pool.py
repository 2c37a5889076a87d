"""Run jobs in a limited number of threads, which are started when they are first needed."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from math import inf
from queue import PriorityQueue
from typing import Generic, TypeVar

Job = TypeVar("Job")

logger = logging.getLogger(__name__)


class NoThread(Exception):
    """The pool has no thread, and the process or its user may start no more of them."""


class WorkerPool(Generic[Job]):
    """At most ``size`` threads that call ``work`` with one job after the other."""

    def __init__(self, size: int, work: Callable[[Job], None], name: str) -> None:
        self._size = size
        self._work = work
        self._name = name
        self._lock = threading.Lock()
        self._jobs: PriorityQueue[tuple[float, int, Job | None]] = PriorityQueue()
        self._numbers = itertools.count()
        self._threads = 0
        self._free = 0
        """Threads without a job, less the jobs that wait."""

    @property
    def has_spare_thread(self) -> bool:
        """Tell whether another job would start at once."""
        return self._free > 0 or self._threads < self._size

    def submit(self, job: Job, rank: float = 0.0) -> None:
        """Run a job in one of the threads, as soon as one is free; raise NoThread if there is none.

        Of the jobs that wait, the one of the lowest rank is next; of equal ones, the oldest. Where
        no further thread can be started, the job waits for those that exist.
        """
        with self._lock:
            if self._free <= 0 and self._threads < self._size:
                if self._start_thread():
                    self._threads += 1
                    self._free += 1
                elif not self._threads:
                    raise NoThread
            self._jobs.put((rank, next(self._numbers), job))
            self._free -= 1

    def _start_thread(self) -> bool:
        """Start a thread; False if the process or its user may have no more."""
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except (RuntimeError, MemoryError) as error:  # RuntimeError: can't start new thread
            logger.warning("The thread %s cannot be started: %s", self._name, error)
            return False
        return True

    def stop(self) -> None:
        """End each thread after the jobs that wait."""
        for _ in range(self._threads):
            self._jobs.put((inf, next(self._numbers), None))

    def _run(self) -> None:
        while (job := self._jobs.get()[-1]) is not None:
            try:
                self._work(job)
            except Exception:
                logger.exception("Unexpected error in the thread %s", self._name)
            del job  # a request may be large, and the next one may be long in coming
            with self._lock:
                self._free += 1
