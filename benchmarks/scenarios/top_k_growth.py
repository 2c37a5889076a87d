"""What 1,000 answers with 1,000 predictions each cost beyond writing them down."""

from __future__ import annotations

import json

from benchmarks.bench import Bench
from benchmarks.figures import Json, column, median, paired_ratio
from benchmarks.gateway_cost import bare_ms, gateway, jpeg, question, request_ms
from benchmarks.zero_serving import CLASSES
from model_catalog.labels import imagenet_labels

STEPS = (1, 5, 10, 100, CLASSES)
_REQUESTS = 1000


def top_k_growth(bench: Bench) -> Json:
    """Compare CPU time per request; the lower bound is top_k=1 plus one plain ``json.dumps``."""
    picture = jpeg(500, 375, 90)
    runs: dict[int, list[Json]] = {step: [] for step in STEPS}
    with gateway() as (port, worker):
        request_ms(port, worker, question(picture), 100)
        for _ in range(bench.rounds):
            least = request_ms(port, worker, question(picture, top_k=1), _REQUESTS // 4)
            for step in STEPS:
                count = _REQUESTS if step == CLASSES else _REQUESTS // 4
                cost = request_ms(port, worker, question(picture, top_k=step), count)
                runs[step].append({"cpu_ms": cost, "bound_ms": least + written_ms(step)})
    steps = [{"top_k": step} | _figures(runs[step]) for step in STEPS]
    bench.say(f"top_k={CLASSES}: {steps[-1]['ratio']:.3f} of the bound")
    return {"steps": steps, "ratio": steps[-1]["ratio"]}


def written_ms(top_k: int) -> float:
    """Return the CPU milliseconds of writing that many finished predictions as JSON."""
    predictions = [
        {"class_id": class_id, "label": label, "score": index / CLASSES**2 / 3}
        for index, (class_id, label) in enumerate(imagenet_labels()[:top_k])
    ]
    return bare_ms(lambda: json.dumps({"predictions": predictions}), 200)


def _figures(runs: list[Json]) -> Json:
    mine, bound = column(runs, "cpu_ms"), column(runs, "bound_ms")
    return {"cpu_ms": median(mine), "bound_ms": median(bound), "ratio": paired_ratio(mine, bound)}
