"""Duration of the stages of one request, from the gateway's Server-Timing header."""

from __future__ import annotations

import http.client
import re
import time
from urllib.parse import urlsplit

from benchmarks.bench import Bench
from benchmarks.figures import Json, column, median
from benchmarks.fixtures import SIDES, Fixture
from benchmarks.limits import Limit, limit
from benchmarks.own_system import Layout, gateway_and_model_server
from benchmarks.pictures import resized
from benchmarks.system_under_test import FORMS

_STAGE = re.compile(r"(\w+);dur=([\d.]+)")


def milliseconds(bench: Bench) -> Json:
    """Measure the stages of requests that one caller sends one after another."""
    return {"models": {model: _stages(bench, bench.fixture(model), Layout()) for model in SIDES}}


def _stages(bench: Bench, fixture: Fixture, layout: Layout) -> Json:
    with limit(fixture.model, layout) as bare, gateway_and_model_server(fixture, layout) as system:
        _asked(system.url, fixture, bench.warm_up_s)
        asked = _asked(system.url, fixture, bench.seconds)
        inference = inference_ms(bare, fixture, layout, bench.seconds)
    stages = {key: median(column(asked, key)) for key in asked[0]}
    hop = stages["serving"] - inference
    return {"engine": layout.name, "inference": inference, "hop": hop} | stages


def inference_ms(bare: Limit, fixture: Fixture, layout: Layout, seconds: float) -> float:
    """Return the median of inference alone: the bare work without decoding and resizing."""
    times = []
    for data in fixture.pictures:
        start = time.perf_counter()
        resized(data, fixture.side, layout.resize)
        times.append((time.perf_counter() - start) * 1000)
    return float(bare.latency(seconds)["p50_ms"]) - median(times)


def _asked(url: str, fixture: Fixture, seconds: float) -> list[Json]:
    """Ask again and again; return the stages of each request."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.connect()
    bodies = [FORMS["image"].body(data, fixture) for data in fixture.pictures]
    end = time.perf_counter() + seconds
    asked: list[Json] = []
    while not asked or time.perf_counter() < end:
        body = bodies[len(asked) % len(bodies)]
        start = time.perf_counter()
        connection.request("POST", parts.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        whole = (time.perf_counter() - start) * 1000
        asked.append(stages_of(answer.headers["Server-Timing"], whole))
    connection.close()
    return asked


def stages_of(server_timing: str, whole_ms: float) -> Json:
    """Return the header's stages, and as ``http`` what lies outside all of them."""
    stages = {name: float(ms) for name, ms in _STAGE.findall(server_timing) if name != "total"}
    return stages | {"whole": whole_ms, "http": whole_ms - sum(stages.values())}
