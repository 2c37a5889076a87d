"""The queueing simulation: its parts against theory, and the whole against the measured curve."""

from __future__ import annotations

import json
import random

import pytest

from benchmarks import queueing
from benchmarks.queueing import Limit, Model, exceeded, read_models, replaced, simulated
from benchmarks.queueing_model import (
    MAX_BATCH,
    MIN_QUEUED,
    Batcher,
    Clock,
    Costs,
    Layout,
    Processors,
    Then,
    Traffic,
    cluster,
    least,
)
from flask_server.serving import request_batching

COSTS = Costs(python_ms=1.0, image_ms=1.0, call_ms=1.0, inference_ms=2.0)


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return read_models(json.loads(queueing.MEASURED.read_text()))


def test_the_measured_curve_comes_out(models: list[Model]) -> None:
    for model in models:
        for step in model.steps:
            if step["connections"] <= 64:
                found = simulated(model, step["connections"], answers=1000)
                assert found.per_s == pytest.approx(step["requests_per_s"], rel=0.15), step
                assert found.percentile(0.5) == pytest.approx(step["p50_ms"], rel=0.15), step


def test_the_batches_are_those_of_the_gateway() -> None:
    assert MAX_BATCH == request_batching.MAX_BATCH
    assert MIN_QUEUED == request_batching.MIN_QUEUED


def test_threads_share_the_cores() -> None:
    clock, ends = Clock(), dict[str, float]()
    processors = Processors(clock, cores=2)

    def work(name: str, milliseconds: float, threads: int = 1) -> None:
        processors.work(milliseconds, lambda: ends.update({name: clock.now}), threads)

    work("alone", 3)  # has a core of its own until two threads come
    clock.at(1, lambda: work("both", 4, threads=2))
    clock.run(100)

    # From 1 on three threads share two cores, each at 2/3 of its speed: the last 2 ms of "alone"
    # take 3 ms. Both jobs have then made their last 2 ms.
    assert ends == pytest.approx({"alone": 4.0, "both": 4.0})


def test_random_arrivals_wait_as_long_as_theory_says() -> None:
    """One processor that all jobs share: the mean time is the work divided by the idle share."""
    clock, chance = Clock(), random.Random(3)
    processors, times = Processors(clock, cores=1), list[float]()

    def arrive() -> None:
        begin = clock.now
        processors.work(chance.expovariate(1.0), lambda: times.append(clock.now - begin))
        clock.at(clock.now + chance.expovariate(0.5), arrive)

    arrive()
    clock.run(40_000)

    assert sum(times) / len(times) == pytest.approx(1 / (1 - 0.5), rel=0.1)


def test_requests_are_batched_behind_a_call() -> None:
    sent: list[tuple[int, Then]] = []
    batcher, answered = Batcher(1, lambda size, end: sent.append((size, end))), list[int]()

    for number in range(11):
        batcher.add(lambda number=number: answered.append(number))  # type: ignore[misc]
    for _ in range(3):
        sent.pop(0)[1]()

    assert answered == list(range(11))
    assert sent == []


def test_a_cluster_answers_what_arrives() -> None:
    found = cluster(COSTS, Layout(), 4, Traffic(per_s=800, seconds=2), least)

    assert found.per_s == pytest.approx(800, rel=0.1)
    assert found.percentile(0.5) >= 3.0


def test_only_lower_limits_are_exceeded() -> None:
    low, high = Limit("low", 10, "x"), Limit("high", 100, "x")

    assert exceeded([low, high], 50) == [low]


def test_a_table_of_the_page_is_replaced() -> None:
    begin, end = queueing.BEGIN.format("a"), queueing.END.format("a")

    assert replaced(f"x\n{begin}\nold\n{end}\ny", {"a": "new"}) == f"x\n{begin}\nnew\n{end}\ny"
