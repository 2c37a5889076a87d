"""CPU time of the single steps of a request.

Each step is a function of the project, run alone many times. The difference to a whole request is
the cost of gunicorn, Flask and the sockets.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.figures import Json, median
from benchmarks.fixtures import SIDES, Fixture
from benchmarks.gateway_cost import gateway, predict_body, request_ms
from benchmarks.processes import free_port, running
from benchmarks.system_under_test import FORMS
from benchmarks.zero_serving import canned_responses
from flask_server.deadline import Deadline
from flask_server.imaging.decoding import DecodedImage, read_header
from flask_server.imaging.preprocessing import min_decoded_size, to_pixels
from flask_server.inference.ranking import DEFAULT_OPTIONS, rank, resolve
from flask_server.serving.client import RestServing
from flask_server.serving.encoding import encode_raw
from flask_server.serving.scores import read_scores
from flask_server.web.base64_text import decode_base64
from model_catalog.labels import imagenet_labels
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from model_server.codec.json_reader import Document
from model_server.engines.protocol import TensorInfo
from model_server.engines.raw_pixels import check_pixels, scaler
from model_server.rest import predict_request
from model_server.rest.predict_response import row_body

Step = Callable[[], object]
_REPEATS = 5


def request_profile(bench: Bench) -> Json:
    """Measure the steps of both processes for both models, and a whole request of the gateway."""
    models = {}
    for model in SIDES:
        fixture = bench.fixture(model)
        models[model] = {
            "gateway": _timed(bench, _gateway_steps(fixture)) | _call(bench, fixture),
            "model server": _timed(bench, _server_steps(fixture)),
        }
        bench.say(f"{model}: {sum(models[model]['gateway'].values()):.2f} ms of steps, gateway")
    return {"models": models, "whole_gateway_ms": _whole(bench)}


def _timed(bench: Bench, steps: dict[str, Step]) -> dict[str, float]:
    return {name: cpu_ms(step, bench.seconds / 10) for name, step in steps.items()}


def cpu_ms(step: Step, seconds: float) -> float:
    """Return the median CPU milliseconds of one run in this thread."""
    step()
    return median([_run_ms(step, seconds / _REPEATS) for _ in range(_REPEATS)])


def _run_ms(step: Step, seconds: float) -> float:
    start, runs = time.thread_time(), 0
    while (took := time.thread_time() - start) < seconds:
        step()
        runs += 1
    return took / runs * 1000


def _spec(side: int) -> ModelSpec:
    return ModelSpec(
        name="toy",
        input=InputSpec(height=side, width=side),
        output=OutputSpec(classes=len(imagenet_labels())),
        labels=imagenet_labels(),
    )


def _gateway_steps(fixture: Fixture) -> dict[str, Step]:
    spec, data = _spec(fixture.side), fixture.pictures[0]
    body = FORMS["image"].body(data, fixture).encode()
    text = json.loads(body)["image"]
    min_size = partial(min_decoded_size, spec.images)

    def decode() -> DecodedImage:
        return read_header(data, max_pixels=10**8, min_size=min_size).decode()

    picture = decode().image
    pixels = to_pixels(picture, spec.images)
    reply = row_body({"scores": _scores(spec)})
    rows = json.loads(reply)["predictions"]
    [scores] = read_scores(rows, count=1, output=spec.output)
    ranked = rank(scores, spec, resolve(DEFAULT_OPTIONS, spec))
    return {
        "read the body's JSON": lambda: json.loads(body),
        "base64 to bytes": lambda: decode_base64(text),
        "decode the JPEG": decode,
        "resize": lambda: to_pixels(picture, spec.images),
        "pixels to base64 and JSON": lambda: encode_raw([pixels]),
        "read the scores' JSON": lambda: orjson.loads(reply),
        "check the scores": lambda: read_scores(rows, count=1, output=spec.output),
        "rank": lambda: rank(scores, spec, resolve(DEFAULT_OPTIONS, spec)),
        "write the answer's JSON": lambda: orjson.dumps(
            [prediction.label for prediction in ranked]
        ),
    }


def _server_steps(fixture: Fixture) -> dict[str, Step]:
    spec = _spec(fixture.side)
    body = FORMS["pixels"].body(fixture.pictures[0], fixture).encode()
    inputs = {"pixels": TensorInfo("pixels:0", "string", (-1,))}
    document = Document(body)
    strings = document.read(lambda reading: predict_request.tensors(reading, inputs))["pixels"]
    check_pixels(strings, spec.images)
    scaled = scaler(spec.images)
    outputs = {"scores": _scores(spec)}
    return {
        "read the body, base64 to bytes": lambda: Document(body),
        "bytes to a tensor": lambda: document.read(
            lambda reading: predict_request.tensors(reading, inputs)
        ),
        "scale": lambda: scaled(strings),
        "write the scores' JSON": lambda: row_body(outputs),
    }


def _scores(spec: ModelSpec) -> NDArray[np.float32]:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(1, spec.output.classes)) * 3
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(), np.float32)


def _call(bench: Bench, fixture: Fixture) -> dict[str, float]:
    """Measure the gateway's side of a call to Serving: urllib3, socket, and reading the answer."""
    port = free_port()
    command = ["-m", "benchmarks.zero_serving", str(port), str(fixture.side)]
    body = FORMS["pixels"].body(fixture.pictures[0], fixture).encode()
    with running(command, f"http://127.0.0.1:{port}/v1/models/toy"):
        serving = RestServing(f"http://127.0.0.1:{port}")
        whole = cpu_ms(lambda: serving.predict("toy", 1, body, Deadline(10)), bench.seconds / 5)
        serving.close()
    reply = b'{"predictions": [' + canned_responses(fixture.side)["row"] + b"]}"
    return {"call Serving": whole - cpu_ms(lambda: orjson.loads(reply), bench.seconds / 10)}


def _whole(bench: Bench) -> float:
    """Return the CPU time of a whole request of InceptionV3's size in the gateway."""
    data = bench.fixture("inception").pictures[0]
    with gateway() as (port, worker):
        request_ms(port, worker, predict_body(data), 50)
        return request_ms(port, worker, predict_body(data), int(100 * bench.seconds))
