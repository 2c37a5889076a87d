"""Do the bare work (decode, resize, inference) without HTTP: the limit of every system.

``python -m benchmarks.in_process ENGINE PRECISION RESIZE STREAMS MODEL`` loads the model and then
reads commands from standard input, ``throughput BATCH SECONDS`` or ``latency BATCH SECONDS``, one
per line; each result is one line of JSON. RESIZE is ``exact``, as Keras resizes, or ``usual``, as
the gateway resizes for an engine of that precision.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import fixtures
from benchmarks.figures import Json
from benchmarks.fixtures import Fixture
from benchmarks.own_system import CPUS, Layout
from benchmarks.pictures import resized
from flask_server.imaging.resizing import Resize
from model_catalog import openvino_telemetry
from model_catalog.labels import imagenet_labels
from model_catalog.quantization import GRAPH_FILE, INT8
from model_server.engines.openvino_engine import chosen_precision

Floats = NDArray[np.float32]
Classify = Callable[[Floats], Floats]


def openvino(folder: Path, precision: str, streams: int) -> Classify:
    """Return the model on OpenVINO; each stream has its own share of the cores.

    ``int8`` is the int8 form in the version folder; what that keeps in floats is computed as the
    model server computes it.
    """
    core = _core()
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hints = {
        "INFERENCE_PRECISION_HINT": chosen_precision(precision, capabilities),
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(CPUS),
    }
    graph = folder / GRAPH_FILE if precision == INT8 else folder
    compiled = core.compile_model(str(graph), "CPU", hints)
    mine = threading.local()

    def classify(images: Floats) -> Floats:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        scores: Floats = mine.request.infer([images])[0]
        return scores

    return classify


@cache
def _core() -> Any:  # noqa: ANN401 - openvino.Core
    """Return the only core of the process: a freed core takes the thread's signal stack with it."""
    openvino_telemetry.switch_off()
    from openvino import Core  # type: ignore[import-untyped,unused-ignore]

    return Core()


def tensorflow(folder: Path, precision: str, streams: int) -> Classify:
    """Return the model on TensorFlow."""
    if precision != "f32":
        raise ValueError(f"TensorFlow computes in f32 here, not in {precision}.")
    from scripts import quiet_tensorflow

    quiet_tensorflow.start()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(max(1, CPUS // streams))
    tf.config.threading.set_inter_op_parallelism_threads(streams)
    loaded = tf.saved_model.load(str(folder))
    run = loaded.signatures["serving_default"]

    def classify(images: Floats, keep: Any = loaded) -> Floats:  # noqa: ANN401 (its variables)
        scores: Floats = run(input_image=tf.constant(images))["scores"].numpy()
        return scores

    return classify


LOADERS = {"openvino": openvino, "tensorflow": tensorflow}


class Workload:
    """Decode, resize and classify a fixture's pictures over and over."""

    def __init__(self, fixture: Fixture, classify: Classify, resize: Resize) -> None:
        index = {class_id: at for at, (class_id, _) in enumerate(imagenet_labels())}
        self._fixture = fixture
        self._classify = classify
        self._resize = resize
        self._expected = [index[class_id] for class_id in fixture.class_ids]

    def batches(self, size: int, start: int) -> Iterator[tuple[float, int]]:
        """Process batches endlessly; yield the seconds and the number of wrong answers of each."""
        count, at = len(self._fixture.pictures), start
        while True:
            numbers = [(at + step) % count for step in range(size)]
            before = time.perf_counter()
            best = self._classify(self._images(numbers)).argmax(axis=1)
            took = time.perf_counter() - before
            yield took, sum(int(b) != self._expected[n] for b, n in zip(best, numbers, strict=True))
            at += size

    def _images(self, numbers: list[int]) -> Floats:
        side, pictures = self._fixture.side, self._fixture.pictures
        images = np.empty((len(numbers), side, side, 3), np.float32)
        for row, number in zip(images, numbers, strict=True):
            levels = np.asarray(resized(pictures[number], side, self._resize))
            np.divide(levels, np.float32(127.5), out=row)
        images -= np.float32(1)
        return images

    def latency(self, size: int, seconds: float) -> Json:
        """Return the median duration of a batch, with one batch at a time."""
        end = time.perf_counter() + seconds
        runs = list(_until(end, self.batches(size, 0)))
        took = [took for took, _ in runs]
        return {"p50_ms": statistics.median(took) * 1000, "wrong": sum(wrong for _, wrong in runs)}

    def throughput(self, streams: int, size: int, seconds: float) -> Json:
        """Return right answers per second with one thread per stream."""
        done: list[tuple[float, int]] = []
        start = time.perf_counter()
        threads = [
            threading.Thread(
                target=lambda stream=stream: done.extend(
                    _until(start + seconds, self.batches(size, stream * size))
                )
            )
            for stream in range(streams)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wrong = sum(wrong for _, wrong in done)
        took = time.perf_counter() - start
        right = len(done) * size - wrong
        return {"requests_per_s": right / took, "wrong": wrong, "seconds": took}


def _until(end: float, batches: Iterator[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    for batch in batches:
        yield batch
        if time.perf_counter() >= end:
            return


def main(layout: Layout, streams: int, model: str) -> int:
    """Execute the commands of standard input until it ends."""
    fixture = fixtures.load(model)
    classify = LOADERS[layout.engine](fixture.version, layout.precision, streams)
    work = Workload(fixture, classify, layout.resize)
    for _ in islice(work.batches(8, 0), 4):
        pass
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command, size, seconds = line.split()
        if command == "latency":
            answer = work.latency(int(size), float(seconds))
        else:
            answer = work.throughput(streams, int(size), float(seconds))
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    engine, precision, resize, streams, model = sys.argv[1:]
    layout = Layout(engine=engine, precision=precision, exact_resize=resize == "exact")
    sys.exit(main(layout, int(streams), model))
