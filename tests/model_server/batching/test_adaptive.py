from __future__ import annotations

import threading

import numpy as np
import pytest

from model_server.batching.adaptive import AdaptiveModel
from model_server.engines.protocol import Tensors
from model_server.errors import InvalidArgument
from tests.model_server.batching.test_scheduler import Gate, ask, rows
from tests.model_server.harness import in_threads
from tests.model_server.toy import ToyModel, half_plus, one, picky, signature
from tests.waiting import eventually


def test_a_single_request_runs_in_its_own_thread() -> None:
    threads = []

    def function(inputs: Tensors) -> Tensors:
        threads.append(threading.current_thread())
        return {"y": inputs["x"]}

    toy = half_plus(0)
    model = AdaptiveModel(ToyModel(toy.signatures, {"serving_default": function}), 2)

    model.run("serving_default", rows(1))

    assert threads == [threading.current_thread()]


def test_a_signature_without_inputs_runs_by_itself() -> None:
    constant = one(lambda _: {"y": np.array([1, 2], np.float32)}, {}, {"y": "float"})

    assert AdaptiveModel(constant, 1).run("serving_default", {})["y"].tolist() == [1, 2]


def test_requests_queued_while_the_engine_works_become_the_next_batch() -> None:
    gate = Gate()
    model = AdaptiveModel(gate.model, 1)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(4, lambda n: ask(model, outcomes, 10 + n, n + 1)):
            assert eventually(lambda: len(model._waiting) == 4)
            gate.opened.set()

    assert [sorted(batch) for batch in gate.batches] == [[0], [1, 2, 3, 4]]
    assert outcomes == {0: [0], 10: [1], 11: [2], 12: [3], 13: [4]}


def test_one_run_is_prepared_while_another_computes() -> None:
    gate = Gate()
    model = AdaptiveModel(gate.model, 2)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(1, lambda n: ask(model, outcomes, 1 + n, 1)):
            assert eventually(lambda: len(gate.batches) == 2)
            with in_threads(3, lambda n: ask(model, outcomes, 2 + n, n + 2)):
                assert eventually(lambda: len(model._waiting) == 3)
                gate.opened.set()

    assert [sorted(batch) for batch in gate.batches] == [[0], [1], [2, 3, 4]]
    assert outcomes == {n: [n] for n in range(5)}


def test_an_error_reaches_only_the_request_that_caused_it() -> None:
    gate = Gate()
    model = AdaptiveModel(gate.model, 1)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(2, lambda n: ask(model, outcomes, 10 + n, 1 - 2 * n)):
            assert eventually(lambda: len(model._waiting) == 2)
            gate.opened.set()

    assert outcomes == {0: [0], 10: [1], 11: "INVALID_ARGUMENT: x must not be negative"}


def test_a_batch_has_a_maximum_of_rows() -> None:
    gate = Gate()
    model = AdaptiveModel(gate.model, 1, max_rows=3)
    outcomes: dict[int, object] = {}

    with in_threads(1, lambda n: ask(model, outcomes, n, 0)):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(3, lambda n: ask(model, outcomes, 10 + n, n, n)):
            assert eventually(lambda: len(model._waiting) == 3)
            gate.opened.set()

    assert [len(batch) for batch in gate.batches] == [1, 2, 2, 2]


def test_signatures_are_never_mixed() -> None:
    opened, calls = threading.Event(), []

    def function(inputs: Tensors) -> Tensors:
        calls.append(len(inputs["x"]))
        opened.wait(60)
        return {"y": inputs["x"]}

    sig = signature({"x": "float"}, {"y": "float"})
    model = AdaptiveModel(ToyModel({"a": sig, "b": sig}, {"a": function, "b": function}), 1)

    def work(name: str, number: int) -> None:
        model.run(name, rows(number))

    with in_threads(1, lambda n: work("a", n)):
        assert eventually(lambda: len(calls) == 1)
        with in_threads(4, lambda n: work("ab"[n % 2], n)):
            assert eventually(lambda: len(model._waiting) == 4)
            opened.set()

    assert calls == [1, 2, 2]


@pytest.mark.parametrize("inputs", [{"x": np.array(2, dtype=np.float32)}, rows(*range(40))])
def test_requests_that_cannot_be_batched_run_alone(inputs: Tensors) -> None:
    toy = half_plus(0)

    outputs = AdaptiveModel(toy, 2, max_rows=32).run("serving_default", inputs)

    assert (outputs["y"] * 2 == inputs["x"]).all()
    assert toy.calls == [inputs]


def test_many_threads_all_get_their_own_answer() -> None:
    model = AdaptiveModel(half_plus(0, delay_s=0.001), 2)
    outcomes: dict[int, object] = {}

    def work(number: int) -> None:
        for turn in range(20):
            ask(model, outcomes, number * 100 + turn, number, turn)

    with in_threads(16, work):
        pass

    assert outcomes == {n * 100 + turn: [n / 2, turn / 2] for n in range(16) for turn in range(20)}


def test_no_slot_is_lost_when_runs_end_at_the_same_time() -> None:
    model = AdaptiveModel(half_plus(0), 2)

    def work(number: int) -> None:
        for _ in range(20):
            ask(model, {}, number, number)

    for _ in range(20):
        with in_threads(8, work):
            pass

    assert model._free_slots == 2


def test_after_a_failure_the_next_request_runs() -> None:
    toy = half_plus(0)
    model = AdaptiveModel(ToyModel(toy.signatures, {"serving_default": picky}), 2)

    with pytest.raises(InvalidArgument):
        model.run("serving_default", rows(-1))

    assert model.run("serving_default", rows(1))["y"].tolist() == [1]
