"""Which threads answer a request, and when no further one is given to them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_server.runtime.arrival import Arrival
from flask_server.runtime.refusal import NO_THREAD
from flask_server.runtime.request_threads import RequestThreads
from flask_server.web.admission import InFlight

PREDICT = b"POST /models/m/predict HTTP/1.1\r\n"


@pytest.fixture
def threads() -> Iterator[RequestThreads]:
    with ThreadPoolExecutor(1) as main:
        yield RequestThreads(main, 12)


def arrived(data: bytes) -> Arrival:
    arrival = Arrival(1000, 0.0)
    arrival.feed(data, 0.0)
    return arrival


@pytest.mark.parametrize(
    ("queued", "in_flight", "reason"),
    [
        (3, 3, None),
        (4, 3, None),
        (4, 4, "The limit of 4 prediction requests in flight is reached; try again soon."),
        (35, 3, None),
        (36, 3, NO_THREAD),
    ],
)
def test_the_main_thread_refuses_what_threads_would_only_refuse_later(
    threads: RequestThreads, queued: int, in_flight: int, reason: str | None
) -> None:
    predictions = InFlight(4)
    predictions.count = in_flight
    threads.queued[threads.main] = queued

    assert threads.refusal(arrived(PREDICT), predictions) == reason


def test_health_checks_are_never_refused_and_predictions_refuse_nothing_else(
    threads: RequestThreads,
) -> None:
    predictions = InFlight(0)
    threads.queued[threads.health] = threads.queued[threads.main] = 1000

    assert threads.refusal(arrived(b"GET /healthz HTTP/1.1\r\n"), predictions) is None
    assert threads.refusal(arrived(b"GET /models HTTP/1.1\r\n"), predictions) is None


def test_health_checks_and_requests_without_body_have_threads_of_their_own(
    threads: RequestThreads,
) -> None:
    def pool_for(data: bytes) -> object:
        return threads.pool_for(arrived(data))

    assert pool_for(PREDICT) is threads.main
    assert pool_for(b"HEAD /readyz HTTP/1.1\r\n") is threads.health
    assert pool_for(b"GET /models HTTP/1.1\r\n") not in {threads.main, threads.health}
