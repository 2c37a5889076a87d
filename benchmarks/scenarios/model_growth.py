"""CPU time per request with up to 50 configured models, of which one is used."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.bench import Bench
from benchmarks.figures import Json, column, median, paired_ratio
from benchmarks.gateway_cost import gateway, jpeg, predict_body, request_ms
from benchmarks.processes import resident_mb

STEPS = (1, 10, 25, 50)
_PER_SECOND = 100


def model_growth(bench: Bench) -> Json:
    """Compare CPU time per request between one configured model and many, in turns.

    The lower bound is one model; polling the others is part of the CPU time.
    """
    body = predict_body(jpeg(500, 375, 90))
    count = int(_PER_SECOND * bench.seconds)
    runs: dict[int, list[Json]] = {step: [] for step in STEPS}
    with ExitStack() as stack:
        gateways = {step: stack.enter_context(gateway(step)) for step in STEPS}
        for number in range(bench.rounds + 1):
            for step, (port, worker) in gateways.items():
                cost = request_ms(port, worker, body, count)
                if number:  # the first round warms up
                    runs[step].append({"cpu_ms": cost, "resident_mb": resident_mb(worker)})
    steps = [{"models": step} | _figures(runs[step], runs[STEPS[0]]) for step in STEPS]
    bench.say(f"50 models: {steps[-1]['ratio']:.3f} of one")
    return {"steps": steps, "ratio": steps[-1]["ratio"]}


def _figures(runs: list[Json], least: list[Json]) -> Json:
    return {
        "cpu_ms": median(column(runs, "cpu_ms")),
        "resident_mb": median(column(runs, "resident_mb")),
        "ratio": paired_ratio(column(runs, "cpu_ms"), column(least, "cpu_ms")),
    }
