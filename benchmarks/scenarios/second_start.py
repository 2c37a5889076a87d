"""Start-up time and memory of the embedded server with OpenVINO."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks import own_system
from benchmarks.bench import Bench
from benchmarks.figures import Json, summary
from benchmarks.fixtures import INT8, Fixture
from benchmarks.own_system import Layout, model_server
from benchmarks.processes import resident_mb
from benchmarks.system_under_test import SystemUnderTest


def second_start(bench: Bench) -> Json:
    """Start once with an empty cache of compiled models, then several times with the cache."""
    return _starts(bench, bench.fixture("inception"), Layout())


def second_start_int8(bench: Bench) -> Json:
    """Do the same with the int8 form of the model."""
    return _starts(bench, bench.fixture(f"inception{INT8}"), Layout(precision="int8"))


def _starts(bench: Bench, fixture: Fixture, layout: Layout) -> Json:
    shutil.rmtree(own_system.CACHE, ignore_errors=True)
    starts = [_start(bench, fixture, layout) for _ in range(bench.rounds + 2)]
    later = summary(starts[1:], ("ready_s", "resident_mb", "resident_after_load_mb"))
    bench.say(f"ready after {later['ready_s']:.2f} s with {later['resident_mb']:.0f} MB")
    return {"engine": layout.name, "first": starts[0], "later": later}


def _start(bench: Bench, fixture: Fixture, layout: Layout) -> Json:
    before = time.monotonic()
    with model_server(fixture, layout) as (root, pid):
        ready_s = time.monotonic() - before
        resident = resident_mb(pid)
        url = f"{root}/v1/models/{fixture.model}:predict"
        SystemUnderTest(name=layout.name, url=url, form="pixels").measure(
            fixture, 16, bench.warm_up_s
        )
        return {
            "ready_s": ready_s,
            "resident_mb": resident,
            "resident_after_load_mb": resident_mb(pid),
            "has_tensorflow": "libtensorflow" in Path(f"/proc/{pid}/maps").read_text(),
        }
