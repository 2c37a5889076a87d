"""The figures of shadow versions are the sums of all workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
print(json.dumps(metrics.shadow_figures("toy", "canary", 2)))
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
