"""CPU time of answers with up to 1000 predictions, beyond the cost of writing their JSON."""

from __future__ import annotations

import json

from benchmarks.bench import Bench
from benchmarks.figures import Json, column, median, paired_ratio
from benchmarks.gateway_cost import bare_ms, gateway, jpeg, predict_body, request_ms
from benchmarks.zero_serving import CLASSES
from model_catalog.labels import imagenet_labels

STEPS = (1, 5, 10, 100, CLASSES)
_REQUESTS = 1000
#: Requests before the next step has its turn; the speed of the host changes within seconds.
_TURN = 250


def top_k_growth(bench: Bench) -> Json:
    """Compare CPU time per request; the lower bound is top_k=1 plus one plain ``json.dumps``."""
    picture = jpeg(500, 375, 90)
    runs: dict[int, list[Json]] = {step: [] for step in STEPS}
    with gateway() as (port, worker):
        request_ms(port, worker, predict_body(picture), 100)
        for _ in range(bench.rounds):
            for step in STEPS:
                turns = _REQUESTS // _TURN if step == CLASSES else 1
                runs[step] += [_turn(port, worker, picture, step) for _ in range(turns)]
    steps = [{"top_k": step} | _figures(runs[step]) for step in STEPS]
    bench.say(f"top_k={CLASSES}: {steps[-1]['ratio']:.3f} of the bound")
    return {"steps": steps, "ratio": steps[-1]["ratio"]}


def _turn(port: int, worker: int, picture: bytes, step: int) -> Json:
    """Measure requests with ``top_k`` 1 and with ``step``, one after the other."""
    least = request_ms(port, worker, predict_body(picture, top_k=1), _TURN)
    cost = request_ms(port, worker, predict_body(picture, top_k=step), _TURN)
    return {"cpu_ms": cost, "bound_ms": least + written_ms(step)}


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
