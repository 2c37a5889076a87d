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
#: How many are asked before the others have a turn: the pace of the host changes within seconds.
_TURN = 250


def top_k_growth(bench: Bench) -> Json:
    """Compare CPU time per request; the lower bound is top_k=1 plus one plain ``json.dumps``."""
    picture = jpeg(500, 375, 90)
    runs: dict[int, list[Json]] = {step: [] for step in STEPS}
    with gateway() as (port, worker):
        request_ms(port, worker, question(picture), 100)
        for _ in range(bench.rounds):
            for step in STEPS:
                turns = _REQUESTS // _TURN if step == CLASSES else 1
                runs[step] += [_turn(port, worker, picture, step) for _ in range(turns)]
    steps = [{"top_k": step} | _figures(runs[step]) for step in STEPS]
    bench.say(f"top_k={CLASSES}: {steps[-1]['ratio']:.3f} of the bound")
    return {"steps": steps, "ratio": steps[-1]["ratio"]}


def _turn(port: int, worker: int, picture: bytes, step: int) -> Json:
    """Ask for one prediction and for ``step`` in turn."""
    least = request_ms(port, worker, question(picture, top_k=1), _TURN)
    cost = request_ms(port, worker, question(picture, top_k=step), _TURN)
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
