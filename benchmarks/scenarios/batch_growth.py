"""Latency of requests with 1 to 32 pictures, compared with the bare work on the same pictures."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.figures import Json, column, median, paired_ratio
from benchmarks.fixtures import Fixture
from benchmarks.limits import limit
from benchmarks.own_system import Layout, gateway_and_model_server
from benchmarks.system_under_test import base64_text

STEPS = (1, 2, 4, 8, 16, 32)


def batch_growth(bench: Bench) -> Json:
    """Compare latencies with decode, resize and inference of the same batch in process."""
    steps = _curve(bench, bench.fixture("inception"), Layout())
    bench.say(f"batch of 32: {steps[-1]['ratio']:.3f} of the bare work")
    return {"model": "inception", "steps": steps, "ratio": steps[-1]["ratio"]}


def _curve(bench: Bench, fixture: Fixture, layout: Layout) -> list[Json]:
    runs: dict[int, list[Json]] = {step: [] for step in STEPS}
    with limit(fixture.model, layout) as bare, gateway_and_model_server(fixture, layout) as system:
        answered_ms(system.url, fixture, 8, bench.warm_up_s)
        for _ in range(bench.rounds):
            for step in STEPS:
                asked = answered_ms(system.url, fixture, step, bench.seconds / 2)
                plain = bare.latency(bench.seconds / 2, step)["p50_ms"]
                runs[step].append({"asked_ms": asked, "bare_ms": plain})
    return [{"images": step} | _figures(runs[step]) for step in STEPS]


def answered_ms(url: str, fixture: Fixture, size: int, seconds: float) -> float:
    """Return the median latency of one request at a time; raise RuntimeError for a wrong answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    end, at = time.perf_counter() + seconds, 0
    times: list[float] = []
    while not times or time.perf_counter() < end:
        numbers = [(at + step) % len(fixture.pictures) for step in range(size)]
        body = json.dumps({"images": [base64_text(fixture.pictures[n]) for n in numbers]})
        start = time.perf_counter()
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        times.append((time.perf_counter() - start) * 1000)
        _check(answer, [fixture.class_ids[n] for n in numbers])
        at += size
    connection.close()
    return median(times)


def _check(answer: Json, expected: list[str]) -> None:
    found = [result["predictions"][0]["class_id"] for result in answer["results"]]
    if found != expected:
        raise RuntimeError(f"wrong answer: {found}, expected {expected}")


def _figures(runs: list[Json]) -> Json:
    asked, bare = column(runs, "asked_ms"), column(runs, "bare_ms")
    return {
        "asked_ms": median(asked),
        "bare_ms": median(bare),
        "ratio": paired_ratio(asked, bare),
    }
