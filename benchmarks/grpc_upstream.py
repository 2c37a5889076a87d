"""The gateway that asks its model server over gRPC, compared with REST.

    python -m benchmarks.grpc_upstream [seconds of a measurement, 4]

Two gateways stand in front of one embedded server with MobileNet. They are measured in turn, and
the ratios are medians of the ratios of each round, so that a machine with other work shows the same
ratios. The second table has the CPU time of encoding an image, and the bytes of the call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks import fixtures
from benchmarks.figures import Json, column, median, paired_ratio
from benchmarks.fixtures import Fixture
from benchmarks.own_system import Layout, gateway, model_server
from benchmarks.processes import free_port
from benchmarks.system_under_test import SystemUnderTest
from flask_server.serving import encoding, grpc_encoding
from flask_server.serving.signatures import Signatures
from flask_server.serving.upstream import Encoder
from model_catalog.spec import InputSpec

MODEL = "mobilenet"
ROUNDS = 5
CONNECTIONS = (1, 16)
REST, GRPC = "REST", "gRPC"
_ENCODE_S = 1.0


@contextmanager
def systems(fixture: Fixture) -> Iterator[dict[str, SystemUnderTest]]:
    """Run the model server and a gateway for each protocol; yield them by protocol."""
    port, layout = free_port(), Layout()
    with (
        model_server(fixture, layout, port) as (root, server),
        gateway(fixture.model, root, layout) as (rest, rest_pid),
        gateway(fixture.model, f"grpc://127.0.0.1:{port}", layout) as (grpc, grpc_pid),
    ):
        fronts = {REST: (rest, rest_pid), GRPC: (grpc, grpc_pid)}
        yield {
            protocol: SystemUnderTest(
                name=protocol,
                url=f"{url}/models/{fixture.model}/predict",
                processes={"gateway": pid, "model server": server},
            )
            for protocol, (url, pid) in fronts.items()
        }


def measured(fixture: Fixture, connections: int, seconds: float) -> dict[str, list[Json]]:
    """Return the measurements of each protocol, taken in turn."""
    with systems(fixture) as running:
        for system in running.values():
            system.measure(fixture, connections, seconds / 4)  # not counted
        runs: dict[str, list[Json]] = {protocol: [] for protocol in running}
        for number in range(ROUNDS):
            order = list(running) if number % 2 else list(reversed(running))
            for protocol in order:
                runs[protocol].append(running[protocol].measure(fixture, connections, seconds))
    return runs


def row(connections: int, runs: dict[str, list[Json]]) -> str:
    """Return the line of a table with the figures of both protocols and their ratios."""
    speed = {p: column(found, "requests_per_s") for p, found in runs.items()}
    cpu = {
        part: {p: [float(run["cpu_ms"][part]) for run in found] for p, found in runs.items()}
        for part in ("gateway", "model server")
    }
    cells = [str(connections), *_compared(speed, "{:.0f}")]
    for values in cpu.values():
        cells += _compared(values, "{:.2f}")
    return f"| {' | '.join(cells)} |"


def _compared(values: dict[str, list[float]], form: str) -> list[str]:
    ratio = paired_ratio(values[GRPC], values[REST])
    return [form.format(median(values[REST])), form.format(median(values[GRPC])), f"{ratio:.2f}"]


def encoders(dtype: str, spec: InputSpec) -> dict[str, Encoder]:
    """Return the encoders of both protocols for a model whose input has this type."""
    signatures, target = _signatures(dtype, spec), grpc_encoding.model_spec("m", 1)
    return {
        REST: encoding.choose_encoder(signatures, spec),
        GRPC: grpc_encoding.choose_encoder(target, signatures, spec),
    }


def _signatures(dtype: str, spec: InputSpec) -> Signatures:
    sizes = (-1, spec.height, spec.width, spec.channels)
    image = {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size)} for size in sizes]}}
    if dtype != "DT_STRING":
        return {"serving_default": {"inputs": {"x": image}}}
    text = {"dtype": dtype, "tensor_shape": {"dim": [{"size": "-1"}]}}
    return {"pixels": {"inputs": {"pixels": text}}, "describe": {}}


def encode_ms(encode: Encoder, spec: InputSpec) -> tuple[float, int]:
    """Return the CPU milliseconds of encoding one image, and the bytes of its call."""
    shape = (spec.height, spec.width, spec.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    size, count, start = len(encode([pixels])), 0, time.process_time()
    while time.process_time() - start < _ENCODE_S:
        encode([pixels])
        count += 1
    return (time.process_time() - start) / count * 1000, size


def main() -> None:
    """Print both tables."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 4.0
    fixture = fixtures.load(MODEL)
    columns = ("images/s", "gateway, CPU ms", "model server, CPU ms")
    heads = " | ".join(f"{name}: REST | gRPC | ratio" for name in columns)
    print(f"| connections | {heads} |\n{'|---' * 10}|")
    for connections in CONNECTIONS:
        print(row(connections, measured(fixture, connections, seconds)), flush=True)
    print("\n| input | REST, CPU ms | gRPC, CPU ms | REST, bytes | gRPC, bytes |")
    print("|---|---|---|---|---|")
    spec = InputSpec(height=fixture.side, width=fixture.side, scale="tf")
    for name, dtype in (("pixels", "DT_STRING"), ("uint8", "DT_UINT8"), ("float32", "DT_FLOAT")):
        found = [encode_ms(encode, spec) for encode in encoders(dtype, spec).values()]
        (rest_ms, rest_size), (grpc_ms, grpc_size) = found
        print(f"| {name} | {rest_ms:.3f} | {grpc_ms:.3f} | {rest_size} | {grpc_size} |", flush=True)


if __name__ == "__main__":
    main()
