"""The order in which waiting jobs are run."""

from __future__ import annotations

import threading

from model_server.transport.worker_pool import WorkerPool
from tests.waiting import eventually


def test_waiting_jobs_run_by_rank_and_then_by_age() -> None:
    may_go, is_over = threading.Event(), threading.Event()
    done: list[str] = []

    def work(job: str) -> None:
        may_go.wait(60)
        done.append(job)
        if job == "last":
            is_over.set()

    pool = WorkerPool[str](1, work, "test")
    pool.submit("running", rank=9.0)
    try:
        assert eventually(lambda: not pool._jobs.qsize())  # the thread has taken the first job
        for job, rank in (("last", 3.0), ("second", 2.0), ("third", 2.0), ("first", 1.0)):
            pool.submit(job, rank)
    finally:
        pool.stop()
        may_go.set()

    assert is_over.wait(60)
    assert done == ["running", "first", "second", "third", "last"]
