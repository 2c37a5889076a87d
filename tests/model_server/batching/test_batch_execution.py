from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from model_server.batching.batch_execution import BatchLimits, Task, row_count, run_tasks
from model_server.engines.protocol import Tensors
from model_server.errors import DeadlineExceeded, Internal, InvalidArgument, ModelServerError


class Recorder:
    """Doubles its input, refuses negative numbers, and remembers how it was called."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.limits: list[float | None] = []

    def __call__(self, inputs: Tensors, limit_s: float | None) -> Tensors:
        self.limits.append(limit_s)
        self.batches.append(inputs["x"].tolist())
        if (inputs["x"] < 0).any():
            raise InvalidArgument("negative")
        return {"y": inputs["x"] * 2}


def task(*rows: object) -> Task:
    return Task({"x": np.array(rows, dtype=np.float32)}, len(rows))


def run(*tasks: Task, **limits: Any) -> Recorder:
    recorder = Recorder()
    run_tasks(recorder, tasks, BatchLimits(**({"max_rows": 100} | limits)))
    return recorder


def test_requests_of_one_shape_run_together_and_get_their_own_rows() -> None:
    first, second = task(1, 2), task(3)

    recorder = run(first, second)

    assert recorder.batches == [[1, 2, 3]]
    assert first.result()["y"].tolist() == [2, 4]
    assert second.result()["y"].tolist() == [6]


def test_shapes_and_types_are_never_mixed() -> None:
    wide = Task({"x": np.array([4.0])}, 1)

    recorder = run(task(1), task([1, 2]), task(2), wide)

    assert recorder.batches == [[1, 2], [[1, 2]], [4]]


def test_an_error_reaches_only_the_request_that_caused_it() -> None:
    good, bad, also_good = task(1), task(-1), task(2)

    recorder = run(good, bad, also_good)

    assert recorder.batches == [[1, -1, 2], [1], [-1], [2]]
    assert good.result()["y"].tolist() == [2]
    assert also_good.result()["y"].tolist() == [4]
    with pytest.raises(InvalidArgument, match="negative"):
        bad.result()


def test_a_run_that_exceeded_the_deadline_is_not_repeated() -> None:
    tasks, calls = [task(1), task(2), task(3)], []

    def slow(inputs: Tensors, _: float | None) -> Tensors:
        calls.append(inputs["x"].tolist())
        raise DeadlineExceeded("too slow")

    run_tasks(slow, tasks, BatchLimits(max_rows=100))

    assert calls == [[1, 2, 3]]
    for member in tasks:
        with pytest.raises(DeadlineExceeded, match="too slow"):
            member.result()


def test_a_batch_may_take_as_long_as_the_most_patient_of_its_requests() -> None:
    now = time.monotonic()
    hasty, patient, default = task(1), task(2), task(3)
    hasty.deadline, patient.deadline = now + 50, now + 100

    (limit,) = run(hasty, patient).limits

    assert limit is not None
    assert 50 < limit <= 100
    assert run(hasty, default).limits == [None]


def test_an_unexpected_error_reaches_its_request_as_an_internal_error() -> None:
    broken = task(1)

    def defect(_: Tensors, __: float | None) -> Tensors:
        raise KeyError

    run_tasks(defect, [broken], BatchLimits(max_rows=1))

    with pytest.raises(Internal):
        broken.result()


def test_batches_are_filled_up_with_the_last_first_row() -> None:
    first, last = task(1, 2), task(3, 4)

    recorder = run(first, last, allowed_rows=(2, 6, 8), max_rows=8)

    assert recorder.batches == [[1, 2, 3, 4, 3, 3]]
    assert last.result()["y"].tolist() == [6, 8]


def test_without_rows_nothing_is_filled_up() -> None:
    empty = task()

    recorder = run(empty, allowed_rows=(2, 4), max_rows=4)

    assert recorder.batches == [[]]
    assert empty.result()["y"].tolist() == []


def test_an_empty_last_request_is_filled_up_with_the_row_before_it() -> None:
    first, empty = task(1, 2, 3), task()

    recorder = run(first, empty, allowed_rows=(4,), max_rows=4)

    assert recorder.batches == [[1, 2, 3, 3]]
    assert first.result()["y"].tolist() == [2, 4, 6]
    assert empty.result()["y"].tolist() == []


def test_more_rows_than_fit_are_run_in_parts() -> None:
    big = task(1, 2, 3, 4, 5)

    recorder = run(big, max_rows=2)

    assert recorder.batches == [[1, 2], [3, 4], [5]]
    assert big.result()["y"].tolist() == [2, 4, 6, 8, 10]


def test_with_padding_shorter_rows_are_filled_with_their_first_value() -> None:
    long, short = task([1, 2, 3]), task([7, 8])

    recorder = run(long, short, pads_inputs=True)

    assert recorder.batches == [[[1, 2, 3], [7, 8, 7]]]


def test_rows_without_values_cannot_be_padded() -> None:
    empty, full = Task({"x": np.empty((1, 0), dtype=np.float32)}, 1), task([1])

    run(empty, full, pads_inputs=True)

    assert full.result()["y"].tolist() == [[2]]
    assert empty.result()["y"].shape == (1, 0)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (np.float32(1).reshape(()), "Batched output tensor has 0 dimensions"),
        (
            np.zeros(3),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension"
            " sizes of the input tensors",
        ),
    ],
)
def test_outputs_must_have_a_row_per_row(output: Any, text: str) -> None:
    single = task(1)

    run_tasks(lambda _, __: {"y": output}, [single], BatchLimits(max_rows=4))

    with pytest.raises(ModelServerError) as caught:
        single.result()
    assert caught.value.message == text


def test_row_counts() -> None:
    assert row_count({"a": np.zeros(2), "b": np.zeros((2, 3))}) == 2
    with pytest.raises(InvalidArgument, match="must have at least one input tensor"):
        row_count({})
    with pytest.raises(InvalidArgument, match="must have at least one dimension"):
        row_count({"a": np.zeros(())})
    with pytest.raises(InvalidArgument, match="must have equal 0th-dimension size"):
        row_count({"a": np.zeros(2), "b": np.zeros(3)})
