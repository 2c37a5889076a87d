from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_server.batching import parameters
from model_server.batching.batch_execution import Task
from model_server.batching.scheduler import BatchedModel, BatchingOptions, BatchScheduler
from model_server.engines.protocol import Tensors
from model_server.errors import (
    Internal,
    InvalidArgument,
    ModelServerError,
    ResourceExhausted,
    Unavailable,
)
from tests.model_server.harness import in_threads
from tests.model_server.toy import ToyModel, half_plus, one, picky
from tests.waiting import eventually


class Gate:
    """A model that holds every run until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.model = one(self._run, {"x": "float"}, {"y": "float"})

    def _run(self, inputs: Tensors) -> Tensors:
        self.opened.wait(60)
        return picky(inputs)

    @property
    def batches(self) -> list[list[float]]:
        return [inputs["x"].tolist() for inputs in self.model.calls]


@pytest.fixture
def scheduler() -> Iterator[BatchScheduler]:
    scheduler = BatchScheduler(1)
    yield scheduler
    scheduler.close()


def rows(*numbers: float) -> Tensors:
    return {"x": np.array(numbers, dtype=np.float32)}


def ask(model: Any, outcomes: dict[int, object], number: int, *numbers: float) -> None:
    """Run a request and keep what came of it."""
    try:
        outcomes[number] = model.run("serving_default", rows(*numbers))["y"].tolist()
    except ModelServerError as error:
        outcomes[number] = str(error)


def waiting(model: BatchedModel) -> int:
    """Return how many requests wait in the queue of the default signature."""
    return sum(len(batch.members) for batch in model._queues["serving_default"]._batches)


def batched(model: ToyModel, scheduler: BatchScheduler, **options: Any) -> BatchedModel:
    return BatchedModel(model, scheduler, BatchingOptions(**options))


def test_without_a_batch_timeout_a_single_request_does_not_wait(scheduler: BatchScheduler) -> None:
    model = batched(half_plus(2), scheduler)

    assert model.run("serving_default", rows(1, 2))["y"].tolist() == [2.5, 3.0]


def test_queued_requests_run_together(scheduler: BatchScheduler) -> None:
    gate = Gate()
    model = batched(gate.model, scheduler)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(3, lambda n: ask(model, outcomes, 10 + n, n + 1)):
            assert eventually(lambda: waiting(model) == 3)
            gate.opened.set()

    assert [sorted(batch) for batch in gate.batches] == [[0], [1, 2, 3]]
    assert outcomes == {0: [0], 10: [1], 11: [2], 12: [3]}


def test_a_thread_outlives_a_batch_that_fails_unexpectedly(scheduler: BatchScheduler) -> None:
    model = batched(half_plus(2), scheduler)
    broken: Any = {"x": None}

    with pytest.raises(Internal, match="without a result"):
        scheduler.submit(model._queues["serving_default"], Task(broken, rows=1))

    assert model.run("serving_default", rows(1))["y"].tolist() == [2.5]


def test_an_open_batch_waits_as_long_as_it_may_and_no_longer_when_full(
    scheduler: BatchScheduler,
) -> None:
    model = batched(half_plus(0), scheduler, batch_timeout_s=3600, max_batch_size=3)
    outcomes: dict[int, object] = {}

    with in_threads(3, lambda n: ask(model, outcomes, n, n)):
        pass

    assert outcomes == {0: [0.0], 1: [0.5], 2: [1.0]}


def test_a_batch_may_wait_longer_than_a_thread_can(scheduler: BatchScheduler) -> None:
    options = BatchingOptions(max_batch_size=2, batch_timeout_s=9.2e12)
    model = BatchedModel(half_plus(0), scheduler, options)
    outcomes: dict[int, object] = {}
    first = threading.Thread(target=ask, args=(model, outcomes, 1, 2.0), daemon=True)
    first.start()
    assert eventually(lambda: waiting(model) == 1)

    ask(model, outcomes, 2, 4.0)
    first.join(60)

    assert outcomes == {1: [1.0], 2: [2.0]}


def test_a_request_of_more_rows_than_a_batch_is_refused(scheduler: BatchScheduler) -> None:
    model = batched(half_plus(0), scheduler, max_batch_size=2)

    assert len(model.run("serving_default", rows(1, 2))["y"]) == 2
    with pytest.raises(InvalidArgument) as caught:
        model.run("serving_default", rows(1, 2, 3))

    assert caught.value.message == "Task size 3 is larger than maximum input batch size 2"


def test_large_requests_are_split_where_that_is_asked_for(scheduler: BatchScheduler) -> None:
    toy = half_plus(0)
    model = batched(toy, scheduler, max_batch_size=5, max_execution_batch_size=2)

    assert model.run("serving_default", rows(2, 4, 6, 8, 10))["y"].tolist() == [1, 2, 3, 4, 5]
    assert [len(inputs["x"]) for inputs in toy.calls] == [2, 2, 1]


def test_a_full_queue_refuses(scheduler: BatchScheduler) -> None:
    gate = Gate()
    model = batched(gate.model, scheduler, max_batch_size=1, max_enqueued_batches=1)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(1, lambda n: ask(model, outcomes, 10 + n, 1)):
            assert eventually(lambda: waiting(model) == 1)
            with pytest.raises(Unavailable) as caught:
                model.run("serving_default", rows(2))
            gate.opened.set()

    assert caught.value.message == (
        "The batch scheduling queue to which this task was submitted is full;"
        " currently 1 batches enqueued and max_enqueued_batches is 1"
    )
    assert outcomes == {0: [0], 10: [1]}


def test_a_request_that_waited_too_long_fails(scheduler: BatchScheduler) -> None:
    gate, limit_s = Gate(), 0.05
    running = batched(gate.model, scheduler)  # it holds the only thread, and may wait for that
    model = batched(half_plus(0), scheduler, queue_timeout_s=limit_s)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(running, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(1, lambda n: ask(model, outcomes, 10 + n, 1)):
            assert eventually(lambda: waiting(model) == 1)
            time.sleep(2 * limit_s)
            gate.opened.set()

    assert outcomes[0] == [0]
    assert outcomes[10] == str(
        ResourceExhausted("Run() timeout exceeded while waiting in batching queue")
    )


def test_a_closed_scheduler_runs_what_is_queued_and_takes_no_more() -> None:
    scheduler, gate = BatchScheduler(1), Gate()
    model = batched(gate.model, scheduler, batch_timeout_s=0)
    patient = batched(half_plus(0), scheduler, batch_timeout_s=3600)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(1, lambda n: ask(patient, outcomes, 10 + n, 1)):
            assert eventually(lambda: waiting(patient) == 1)
            scheduler.close()
            gate.opened.set()
    ask(model, outcomes, 20, 2)

    assert outcomes == {0: [0], 10: [0.5], 20: "UNAVAILABLE: The server is stopping."}


def test_inputs_without_rows_are_refused(scheduler: BatchScheduler) -> None:
    model = batched(half_plus(0), scheduler)

    with pytest.raises(InvalidArgument, match="must have at least one dimension"):
        model.run("serving_default", {"x": np.array(1, dtype=np.float32)})


def test_models_share_the_threads_but_not_the_batches(scheduler: BatchScheduler) -> None:
    first, second = half_plus(1), half_plus(2)
    models = [batched(first, scheduler), batched(second, scheduler)]
    outcomes: dict[int, object] = {}

    with in_threads(8, lambda n: ask(models[n % 2], outcomes, n, 2)):
        pass

    assert outcomes == {n: [2.0] if n % 2 == 0 else [3.0] for n in range(8)}


def test_a_closed_model_leaves_no_queue_behind(scheduler: BatchScheduler) -> None:
    toy = half_plus(0)
    model = batched(toy, scheduler)

    model.close()

    assert (len(scheduler._queues), toy.is_closed) == (0, True)


def test_allowed_sizes_must_end_with_the_biggest() -> None:
    assert BatchingOptions(max_batch_size=4, allowed_batch_sizes=(2, 4)).run_rows == 4
    with pytest.raises(InvalidArgument) as caught:
        BatchingOptions(max_batch_size=8, allowed_batch_sizes=(2, 4))

    assert caught.value.message == (
        "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8"
    )


def test_parameters_are_read_from_text(tmp_path: Path) -> None:
    file = tmp_path / "batching.config"
    file.write_text(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 2500 }"
        " max_enqueued_batches { value: 3 } num_batch_threads { value: 5 }"
        ' thread_pool_name { value: "pool" } allowed_batch_sizes: 2 allowed_batch_sizes: 8'
        " pad_variable_length_inputs: true"
    )

    read = parameters.read_parameters(file)

    assert parameters.thread_count(read) == 5
    assert parameters.options(read, 30) == BatchingOptions(
        max_batch_size=8,
        batch_timeout_s=0.0025,
        max_enqueued_batches=3,
        allowed_batch_sizes=(2, 8),
        pads_inputs=True,
        queue_timeout_s=30,
    )


def test_without_a_file_the_defaults_are_those_of_tensorflow_serving() -> None:
    read = parameters.read_parameters(None)

    assert parameters.options(read, None) == BatchingOptions()
    assert BatchingOptions().max_batch_size == 1000


def test_splitting_needs_its_own_field(tmp_path: Path) -> None:
    file = tmp_path / "batching.config"
    file.write_text(
        "max_batch_size { value: 8 } max_execution_batch_size { value: 4 }"
        " enable_large_batch_splitting { value: true }"
    )

    assert parameters.options(parameters.read_parameters(file), None).run_rows == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be positive; was 0"),
        ("max_batch_size { value: -3 }", "max_batch_size must be positive; was -3"),
        ("batch_timeout_micros { value: -5 }", "batch_timeout_micros must be non-negative; was -5"),
        ("max_enqueued_batches { value: -1 }", "max_enqueued_batches must be non-negative; was -1"),
        (
            "max_execution_batch_size { value: -1 } enable_large_batch_splitting { value: true }",
            "max_execution_batch_size must be positive; was -1",
        ),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "batching.config"
    file.write_text(text)

    with pytest.raises(InvalidArgument) as caught:
        parameters.options(parameters.read_parameters(file), None)

    assert caught.value.message == message


@pytest.mark.parametrize("count", [0, -1])
def test_batches_need_a_thread(tmp_path: Path, count: int) -> None:
    file = tmp_path / "batching.config"
    file.write_text(f"num_batch_threads {{ value: {count} }}")

    with pytest.raises(InvalidArgument) as caught:
        parameters.thread_count(parameters.read_parameters(file))

    assert caught.value.message == f"num_batch_threads must be positive; was {count}"


def test_unknown_parameters_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "batching.config"
    file.write_text("max_batchsize { value: 8 }")

    with pytest.raises(InvalidArgument, match="Invalid protobuf file"):
        parameters.read_parameters(file)
