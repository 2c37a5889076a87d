from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

import numpy as np
import pytest

from flask_server.deadline import Deadline
from flask_server.errors import Overloaded, ServingError, ServingTimeout, ServingUnavailable
from flask_server.serving.request_batching import MIN_QUEUED, Images, RequestBatcher
from flask_server.serving.scores import Scores
from flask_server.serving.upstream import ServableGone
from flask_server.web.services import services_of
from tests.flask_server.conftest import MakeApp
from tests.flask_server.serving.test_serving_faults import ask as ask_gateway
from tests.flask_server.stub_serving import Servable, StubServing
from tests.waiting import eventually


def picture(value: int) -> np.ndarray[Any, Any]:
    return np.full((1, 1, 1), value, np.uint8)


class Engine:
    """Answers each picture with its own value; the first call waits until the test lets it go."""

    def __init__(self, refuse: Callable[[list[int]], Exception | None] = lambda _: None) -> None:
        self.calls: list[list[int]] = []
        self.first = threading.Event()
        self.refuse = refuse

    def ask(self, pictures: Images, _: Deadline) -> list[Scores]:
        values = [int(p[0, 0, 0]) for p in pictures]
        self.calls.append(values)
        if len(self.calls) == 1:
            self.first.wait(60)
        error = self.refuse(values)
        if error is not None:
            raise error
        return [np.array([float(value)]) for value in values]


Asked = Callable[..., "Future[list[int]]"]


@contextmanager
def queued_behind(
    engine: Engine, first: Sequence[int] = (0,), **options: int
) -> Iterator[tuple[RequestBatcher, Asked]]:
    """A batcher with one call in flight; requests made in the block are queued behind it."""
    batcher = RequestBatcher(**{"max_inflight_calls": 1} | options)
    with ThreadPoolExecutor(16) as pool:

        def asked(*values: int, version: int = 1, seconds: float = 60) -> Future[list[int]]:
            pictures = [picture(value) for value in values]
            deadline = Deadline(seconds)

            def run() -> list[int]:
                scores = batcher.predict(version, pictures, engine.ask, deadline)
                return [int(row[0]) for row in scores]

            future = pool.submit(run)

            def has_come() -> bool:
                return bool(engine.calls) and (future.done() or is_inside(batcher, pictures))

            assert eventually(has_come)
            return future

        try:
            asked(*first)
            yield batcher, asked
        finally:
            engine.first.set()


def is_inside(batcher: RequestBatcher, pictures: Images) -> bool:
    """Tell whether a request for these images is queued or in flight."""
    requests = chain(batcher._queue, *batcher._in_flight)
    return any(request.images is pictures for request in requests)


def test_an_idle_serving_is_called_at_once() -> None:
    engine = Engine()
    engine.first.set()

    scores = RequestBatcher(2).predict(1, [picture(7)], engine.ask, Deadline(60))

    assert scores == [np.array([7.0])]
    assert engine.calls == [[7]]


def test_queued_requests_become_one_call_and_each_gets_its_own_scores() -> None:
    engine = Engine()
    with queued_behind(engine) as (_, asked):
        futures = [asked(1), asked(2, 3), asked(4)]
        engine.first.set()

        assert [future.result(60) for future in futures] == [[1], [2, 3], [4]]

    assert engine.calls == [[0], [1, 2, 3, 4]]


def test_a_call_is_never_larger_than_allowed_unless_one_request_is() -> None:
    engine = Engine()
    with queued_behind(engine, max_batch=3) as (_, asked):
        futures = [asked(1, 2), asked(3), asked(4, 5, 6, 7), asked(8)]
        engine.first.set()
        for future in futures:
            future.result(60)

    assert engine.calls == [[0], [1, 2, 3], [4, 5, 6, 7], [8]]


@pytest.mark.parametrize("calls", [2, 3])
@pytest.mark.parametrize("size", [1, 3, MIN_QUEUED // 3, MIN_QUEUED // 2, MIN_QUEUED])
def test_another_call_is_sent_when_it_is_as_large_as_the_first_or_large_enough(
    size: int, calls: int
) -> None:
    engine = Engine()
    enough = list(range(1, min(size, MIN_QUEUED // calls) + 1))
    with queued_behind(engine, [0] * size, max_inflight_calls=calls) as (_, asked):
        futures = [asked(number) for number in enough]

        assert [future.result(60) for future in futures] == [[number] for number in enough]
        assert engine.calls == [[0] * size, enough]


def test_too_few_images_for_a_second_call_are_sent_after_the_first() -> None:
    engine = Engine()
    with queued_behind(engine, [0, 0, 0], max_inflight_calls=2) as (_, asked):
        futures = [asked(1), asked(2)]
        engine.first.set()
        for future in futures:
            future.result(60)

    assert engine.calls == [[0, 0, 0], [1, 2]]


def test_pictures_are_let_go_as_soon_as_they_are_answered() -> None:
    engine = Engine()
    engine.first.set()
    pictures = [picture(7)]
    seen = weakref.ref(pictures[0])
    gc.disable()
    try:
        RequestBatcher(2).predict(1, pictures, engine.ask, Deadline(60))
        del pictures
        assert seen() is None
    finally:
        gc.enable()


def test_images_of_a_call_that_fails_are_not_kept_either() -> None:
    def fail(_: Images, __: Deadline) -> list[Scores]:
        raise ServingUnavailable("away")

    pictures = [picture(7)]
    seen = weakref.ref(pictures[0])
    gc.disable()
    try:
        with suppress(ServingUnavailable):
            RequestBatcher(2).predict(1, pictures, fail, Deadline(60))
        del pictures
        assert seen() is None
    finally:
        gc.enable()


def test_versions_are_never_mixed() -> None:
    engine = Engine()
    with queued_behind(engine) as (_, asked):
        futures = [asked(1, version=1), asked(2, version=2), asked(3, version=2)]
        engine.first.set()
        for future in futures:
            future.result(60)

    assert engine.calls == [[0], [1], [2, 3]]


def test_an_error_about_one_image_reaches_only_its_request() -> None:
    engine = Engine(lambda values: ServingError("bad 2") if 2 in values else None)
    with queued_behind(engine) as (_, asked):
        good, bad, other = asked(1), asked(2), asked(3)
        engine.first.set()

        assert good.result(60) == [1]
        assert other.result(60) == [3]
        with pytest.raises(ServingError, match="bad 2"):
            bad.result(60)


def test_a_call_that_ends_at_its_senders_deadline_is_repeated_by_requests_with_time_left() -> None:
    engine = Engine(lambda values: ServingTimeout("late") if len(values) > 1 else None)
    with queued_behind(engine) as (_, asked):
        hasty, patient = asked(1), asked(2)
        engine.first.set()

        assert [hasty.result(60), patient.result(60)] == [[1], [2]]

    assert engine.calls[:2] == [[0], [1, 2]]
    assert sorted(engine.calls[2:]) == [[1], [2]]


@pytest.mark.parametrize("error", [ServingUnavailable("away"), ServableGone("gone")])
def test_an_error_about_serving_itself_reaches_all_and_is_not_retried(error: Exception) -> None:
    engine = Engine(lambda values: error if 1 in values else None)
    with queued_behind(engine) as (_, asked):
        futures = [asked(1), asked(2)]
        engine.first.set()

        for future in futures:
            with pytest.raises(type(error)):
                future.result(60)

    assert engine.calls == [[0], [1, 2]]


def test_a_call_without_memory_is_overload_for_all_its_requests() -> None:
    engine = Engine(lambda values: MemoryError() if 1 in values else None)
    with queued_behind(engine) as (_, asked):
        futures = [asked(1), asked(2)]
        engine.first.set()

        for future in futures:
            with pytest.raises(Overloaded, match="not enough memory"):
                future.result(60)
        assert asked(3).result(60) == [3]


class Unlistable(list[Any]):
    """Images for whose list there is no memory."""

    def __iter__(self) -> Iterator[Any]:
        raise MemoryError


def test_a_batch_without_memory_for_its_list_of_images_does_not_block_the_next() -> None:
    batcher = RequestBatcher(max_inflight_calls=1)

    def ask(pictures: Images, _: Deadline) -> list[Scores]:
        return [np.array([1.0]) for _ in pictures]

    with pytest.raises(Overloaded, match="not enough memory"):
        batcher.predict(1, Unlistable([picture(1)]), ask, Deadline(60))

    assert len(batcher.predict(1, [picture(2)], ask, Deadline(60))) == 1


def test_a_request_whose_deadline_passes_leaves_the_queue_and_the_others_go_on() -> None:
    engine = Engine()
    with queued_behind(engine) as (_, asked):
        hasty, patient = asked(1, seconds=0.2), asked(2)

        with pytest.raises(ServingTimeout):
            hasty.result(60)
        engine.first.set()

        assert patient.result(60) == [2]

    assert engine.calls == [[0], [2]]


class SlowToCancel(RequestBatcher):
    """Lets the test decide when each request whose deadline passed is cancelled."""

    def __init__(self) -> None:
        super().__init__(max_inflight_calls=1)
        self.may_cancel = {1: threading.Event(), 2: threading.Event()}
        self.late: list[int] = []

    def _cancel(self, request: Any) -> None:
        value = int(request.images[0][0, 0, 0])
        self.late.append(value)
        self.may_cancel[value].wait(60)
        super()._cancel(request)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_batch_that_is_formed_too_late_for_all_does_not_block_the_next(
    order: tuple[int, int],
) -> None:
    engine, batcher = Engine(), SlowToCancel()
    with ThreadPoolExecutor(3) as pool:

        def asked(value: int, seconds: float) -> Future[list[Scores]]:
            deadline = Deadline(seconds)
            return pool.submit(batcher.predict, 1, [picture(value)], engine.ask, deadline)

        first = asked(0, 60)
        assert eventually(lambda: engine.calls)
        late = {value: asked(value, 0.2) for value in (1, 2)}
        assert eventually(lambda: len(batcher.late) == 2)
        assert len(batcher._queue) == 2  # both are about to be cancelled, and are woken now
        engine.first.set()
        first.result(60)
        for value in order:
            batcher.may_cancel[value].set()
            with pytest.raises(ServingTimeout):
                late[value].result(60)

    assert batcher.predict(1, [picture(3)], engine.ask, Deadline(60)) == [np.array([3.0])]


def test_a_call_makes_room_for_the_next_after_every_kind_of_end() -> None:
    engine = Engine(lambda values: ServingUnavailable("away") if 5 in values else None)
    engine.first.set()
    batcher = RequestBatcher(2)
    with pytest.raises(ServingUnavailable):
        batcher.predict(1, [picture(5)], engine.ask, Deadline(60))
    with pytest.raises(ZeroDivisionError):
        batcher.predict(1, [picture(5)], lambda *_: [1 / 0], Deadline(60))

    assert batcher.predict(1, [picture(6)], engine.ask, Deadline(60)) == [np.array([6.0])]


@pytest.mark.parametrize("size", [1, 32])
def test_a_request_without_time_does_not_block_the_next(size: int) -> None:
    engine = Engine()
    engine.first.set()
    batcher = RequestBatcher(2)
    for _ in range(3):
        with pytest.raises(ServingTimeout):
            batcher.predict(1, [picture(1)] * size, engine.ask, Deadline(0))

    assert batcher.predict(1, [picture(2)], engine.ask, Deadline(60)) == [np.array([2.0])]
    assert engine.calls == [[2]]


def together(make_app: MakeApp, serving: StubServing, count: int) -> list[int]:
    """Return the sorted sizes of Serving's calls; the first two are held while threads ask."""
    app = make_app()
    app.test_client().get("/models")
    release = threading.Event()
    serving.before_predict = lambda: release.wait(60)
    live: Any = services_of(app).gateway.models.state("toy").newest
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(lambda: ask_gateway(app.test_client())) for _ in range(count)]
        # Threads that are still decoding would come too late for the third call.
        assert eventually(lambda: len(live.batcher._queue) == count - 2)
        release.set()
        assert {future.result().status_code for future in futures} == {200}
    return sorted(len(call["instances"]) for call in serving.predicts)


def test_requests_of_one_worker_share_calls(make_app: MakeApp, serving: StubServing) -> None:
    assert together(make_app, serving, 5) == [1, 1, 3]


def test_requests_for_foreign_models_are_not_batched(
    make_app: MakeApp, serving: StubServing
) -> None:
    serving.models["toy"] = {1: Servable(None)}
    app = make_app('[models.toy]\nbase_path="f"\ninput = { scale = "unit" }\n')
    app.test_client().get("/models")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ask_gateway(app.test_client()), range(8)))

    assert {len(call["instances"]) for call in serving.predicts} == {1}
