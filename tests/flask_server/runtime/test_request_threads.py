"""Which threads answer a request, and when no further one is given to them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_server.runtime.arrival import Arrival
from flask_server.runtime.request_threads import RequestThreads
from flask_server.web.admission import InFlight


@pytest.fixture
def threads() -> Iterator[RequestThreads]:
    with ThreadPoolExecutor(1) as main:
        yield RequestThreads(main, 12)


@pytest.mark.parametrize(
    ("queued", "in_flight", "is_full"),
    [(5, 4, False), (6, 4, True), (6, 3, False), (35, 3, False), (36, 3, True)],
)
def test_the_main_thread_refuses_what_threads_would_only_refuse_later(
    threads: RequestThreads, queued: int, in_flight: int, is_full: bool
) -> None:
    predictions = InFlight(4)
    predictions.count = in_flight
    threads.queued[threads.main] = queued

    assert threads.is_full(threads.main, predictions) is is_full


def test_health_checks_and_requests_without_body_have_threads_of_their_own(
    threads: RequestThreads,
) -> None:
    def pool_for(data: bytes) -> object:
        arrival = Arrival(1000, 0.0)
        arrival.feed(data, 0.0)
        return threads.pool_for(arrival)

    assert pool_for(b"POST /models/m/predict HTTP/1.1\r\n") is threads.main
    assert pool_for(b"HEAD /readyz HTTP/1.1\r\n") is threads.health
    assert pool_for(b"GET /models HTTP/1.1\r\n") not in {threads.main, threads.health}
