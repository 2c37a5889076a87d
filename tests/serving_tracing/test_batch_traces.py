"""Spans of requests that are computed together."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from flask_server.deadline import Deadline
from flask_server.errors import ServingError
from flask_server.serving.request_batching import Images, RequestBatcher
from flask_server.serving.scores import Scores
from model_server.batching.adaptive import AdaptiveModel
from model_server.batching.scheduler import BatchedModel, BatchingOptions, BatchScheduler
from model_server.engines.protocol import LoadedModel
from model_server.engines.traced_model import TracedModel
from serving_tracing import spans
from tests.model_server.batching.test_scheduler import Gate, rows, waiting
from tests.model_server.harness import in_threads
from tests.serving_tracing.conftest import Recorder
from tests.waiting import eventually

REQUESTS = 3


def in_request(work: Callable[[], object]) -> None:
    """Do the work in the span of a request, each in a trace of its own."""
    tracing = spans.active()
    assert tracing
    server = tracing.server_span("request", {}, {})
    assert server
    with server.current():
        work()
    server.end({}, None)


def ids(found: list[ReadableSpan]) -> set[int]:
    return {span.context.span_id for span in found if span.context}


def linked(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def check_batch(recorder: Recorder, wait: str, call: str, shared: str) -> None:
    """Check a call that was made alone, and one for ``REQUESTS`` requests that waited for it."""
    requests = recorder.named("request")
    alone, together = [
        next(s for s in recorder.named(call) if (s.attributes or {}).get(key) == count)
        for key, count in (("serving.batch.requests", 1), ("serving.batch.requests", REQUESTS))
    ]
    assert alone.parent
    assert together.parent
    assert linked(alone) == set()
    assert linked(together) == ids(requests) - {alone.parent.span_id}
    assert together.parent.span_id in linked(together)
    copies = [span for span in recorder.named(shared) if span not in (alone, together)]
    others = linked(together) - {together.parent.span_id}
    assert {span.parent.span_id for span in copies if span.parent} == others
    assert [linked(span) for span in copies] == [ids([together])] * (REQUESTS - 1)
    waits = recorder.named(wait)
    assert {span.parent.span_id for span in waits if span.parent} == ids(requests)
    assert len(waits) == len(requests) == REQUESTS + 1
    for span in recorder.all:
        assert span.start_time
        assert span.end_time
        assert span.start_time <= span.end_time


def ask_together(*, is_failing: bool = False) -> list[int]:
    """Make a call for one request, and one for all that wait meanwhile; return their sizes.

    The latter may fail.
    """
    batcher, first, calls = RequestBatcher(1), threading.Event(), list[int]()

    def call(images: Images, _: Deadline) -> list[Scores]:
        calls.append(len(images))
        span = spans.http_call("POST", "http://h", "/v1/models/m:predict")
        assert span
        with span:
            first.wait(60)
            if is_failing and len(images) > 1:
                raise ServingError("no")
        return [np.zeros(1)] * len(images)

    def predict(_: int) -> None:
        picture = np.zeros((1, 1, 1), np.uint8)
        in_request(lambda: batcher.predict(1, [picture], call, Deadline(60)))

    with in_threads(1, predict):
        assert eventually(lambda: calls == [1])
        with in_threads(REQUESTS, predict):
            assert eventually(lambda: len(batcher._queue) == REQUESTS)
            first.set()
    return calls


def test_a_call_of_the_gateway_has_links_to_its_requests(recorder: Recorder) -> None:
    assert ask_together() == [1, REQUESTS]
    check_batch(recorder, "batch wait", "POST /v1/models/{model}:predict", "shared call")


def test_a_batch_that_fails_gives_each_request_a_call_of_its_own(recorder: Recorder) -> None:
    calls = ask_together(is_failing=True)

    found = recorder.named("POST /v1/models/{model}:predict")
    assert sorted(calls) == [1] * (REQUESTS + 1) + [REQUESTS]
    assert {span.parent.span_id for span in found if span.parent} == ids(recorder.named("request"))
    (failed,) = [span for span in found if "error.type" in (span.attributes or {})]
    assert (failed.attributes or {})["error.type"] == "serving_error"


@pytest.mark.parametrize("batching", ["adaptive", "scheduler"])
def test_a_run_of_the_model_server_has_links_to_its_requests(
    recorder: Recorder, batching: str
) -> None:
    gate, scheduler = Gate(), BatchScheduler(1)
    traced = TracedModel(gate.model)
    adaptive = AdaptiveModel(traced, 1)
    options = BatchingOptions(max_batch_size=8)
    batched = BatchedModel(traced, scheduler, options)
    model: LoadedModel = adaptive if batching == "adaptive" else batched

    def run(number: int) -> None:
        in_request(lambda: model.run("serving_default", rows(number)))

    def queued() -> int:
        return len(adaptive._waiting) + waiting(batched)

    with in_threads(1, run):
        assert eventually(lambda: len(gate.batches) == 1)
        with in_threads(REQUESTS, run):
            assert eventually(lambda: queued() == REQUESTS)
            gate.opened.set()
    scheduler.close()

    check_batch(recorder, "queue", "inference", "inference")


def test_a_run_outside_of_a_trace_has_no_span(recorder: Recorder) -> None:
    gate = Gate()
    gate.opened.set()

    AdaptiveModel(TracedModel(gate.model), 1).run("serving_default", rows(1))

    assert recorder.all == []


def test_a_model_that_is_not_batched_has_a_span_too(recorder: Recorder) -> None:
    gate = Gate()
    gate.opened.set()
    model = TracedModel(gate.model)

    in_request(lambda: model.run("serving_default", rows(1)))

    assert recorder.tree == {(None, "request"), ("request", "inference")}
