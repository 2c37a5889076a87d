"""The figures of shadow versions are the sums of all workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram

from flask_server.telemetry import shadow_figures

#: A worker that has compared some images, given as pairs of agreement and shift, and then shows
#: the figures.
WORKER = """
import json, sys
from flask_server.inference.shadow import ImageComparison, ShadowResult
from flask_server.telemetry.metrics import Metrics

class NoModels:
    names = ()

metrics = Metrics(NoModels(), max_in_flight=1, shared=True)
for outcome, shadow_version, images in json.loads(sys.argv[1]):
    pairs = [ImageComparison(bool(agrees), shift) for agrees, shift in images]
    metrics.count_shadow(ShadowResult(
        model="toy", label="canary", version=1, shadow_version=shadow_version,
        outcome=outcome, images=pairs,
    ))
print(json.dumps(metrics.shadow_figures("toy", {"canary": 2})["canary"]))
"""


def figures(folder: Path, *results: object) -> object:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, json.dumps(results)],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_figures_are_those_of_all_workers_and_of_the_present_version(tmp_path: Path) -> None:
    figures(tmp_path, ["compared", 2, [[1, 0.5]]], ["dropped", 2, []])
    found = figures(
        tmp_path,
        ["compared", 2, [[1, 0.25], [0, 0.0], [1, 0.25]]],
        ["compared", 3, [[0, 1.0]]],
        ["failed", 2, []],
    )

    assert found == {
        "version": 2,
        "requests": {"compared": 3, "dropped": 1, "failed": 1},
        "comparisons": [
            {
                "version": 1,
                "images": 4,
                "top1_agreement": 0.75,
                "mean_score_shift": 0.25,
                "largest_score_shift": 0.5,
            }
        ],
    }


def test_a_worker_that_has_counted_half_of_an_image_is_no_error() -> None:
    registry = CollectorRegistry()
    pair = ("model", "version", "shadow_version")
    images = Counter("gateway_shadow_images", "-", (*pair, "same_class"), registry=registry)
    shifts = Histogram("gateway_shadow_score_shift", "-", pair, registry=registry)

    images.labels("toy", "1", "2", "yes").inc(2)
    shifts.labels("toy", "1", "2").observe(0.5)
    images.labels("toy", "3", "2", "yes").inc()
    shifts.labels("toy", "4", "2").observe(0.5)
    found = shadow_figures.figures(registry.collect(), "toy", {"canary": 2, "next": None})

    assert found["next"]["comparisons"] == []
    (only,) = found["canary"]["comparisons"]
    assert (only["version"], only["images"], only["top1_agreement"]) == (1, 2, 1.0)
    assert only["mean_score_shift"] == 0.5
