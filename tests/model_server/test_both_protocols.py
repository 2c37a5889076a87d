"""The same models over REST and gRPC, with both engines."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import numpy as np
import pytest

from model_server.client import Client as GrpcClient
from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions
from model_server.engines.protocol import Engine
from model_server.engines.tensorflow_engine import TensorFlowEngine, TensorFlowOptions
from model_server.errors import DeadlineExceeded, InvalidArgument, NotFound
from model_server.metrics import Metrics
from model_server.models.model_loader import ModelLoader
from model_server.models.registry import Registry, Servable, State
from model_server.rest.api import Rest, RestOptions
from tests.model_server.grpc_api.calls import grpc_server
from tests.model_server.harness import Client, http_server

pytestmark = pytest.mark.tensorflow

ENGINES = ("tensorflow", "openvino")


def engine(name: str) -> Engine:
    if name == "openvino":
        pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
        return OpenVINOEngine(OpenVINOOptions(threads=2))
    return TensorFlowEngine(TensorFlowOptions())


@contextmanager
def served(engine: Engine, version: Path) -> Iterator[tuple[Client, GrpcClient]]:
    """Serve a version as ``m`` over both protocols."""
    registry, metrics, servable = Registry(), Metrics(), Servable("m", 1)
    model = ModelLoader(engine=engine, metrics=metrics).load(version)
    registry.add(servable)
    registry.set_state(servable, State.AVAILABLE, model=model)
    with (
        http_server(Rest(registry, metrics, RestOptions()).respond) as rest,
        grpc_server(registry, metrics=metrics) as raw,
        GrpcClient(raw.target) as grpc,
    ):
        yield rest, grpc


@pytest.mark.parametrize("name", ENGINES)
def test_pixels_and_floats_get_the_same_scores(exports: Path, name: str) -> None:
    with np.load(exports / "tf" / "expected.npz") as arrays:
        levels, floats, from_floats = (arrays[k] for k in ("levels", "floats", "from_floats"))
    strings = [picture.tobytes() for picture in levels]
    encoded = [{"b64": base64.b64encode(string).decode()} for string in strings]

    with served(engine(name), exports / "tf" / "1") as (rest, grpc):
        pixels = grpc.predict("m", {"pixels": strings}, signature="pixels")["scores"]
        direct = grpc.predict("m", {"input_image": floats})["scores"]
        document = {"signature_name": "pixels", "instances": encoded}
        over_rest = np.array(rest.predict("m", document).json["predictions"], np.float32)
        with pytest.raises(InvalidArgument, match="has the shape"):
            grpc.predict("m", {"input_image": floats[0]})
        with pytest.raises(InvalidArgument, match="to be float but double is provided"):
            grpc.predict("m", {"input_image": floats.astype(np.float64)})
        described = grpc.metadata("m")

    np.testing.assert_array_equal(pixels, over_rest)
    np.testing.assert_allclose(direct, from_floats, atol=1e-4)
    assert described["pixels"].inputs["pixels"].dtype == "string"


def test_a_saved_model_of_tensorflow(saved_models: Path) -> None:
    rows = np.array([[1, 2], [3, 4.5]], np.float32)

    with served(engine("tensorflow"), saved_models / "linear" / "2") as (rest, grpc):
        outputs = grpc.predict("m", {"x": rows})
        predictions = rest.predict("m", {"inputs": rows.tolist()}).json["outputs"]
        with pytest.raises(InvalidArgument, match="to be float but int32 is provided"):
            grpc.predict("m", {"x": rows.astype(np.int32)})
        with pytest.raises(NotFound):
            grpc.predict("n", {"x": rows})

    assert next(iter(outputs.values())).tolist() == predictions


def test_the_deadline_of_a_call_limits_the_run(saved_models: Path) -> None:
    model = engine("tensorflow").load(saved_models / "slow" / "1")

    with pytest.raises(DeadlineExceeded):
        model.run("serving_default", {"x": np.ones(1, np.float32)}, 0.05)
    model.close()


def test_a_run_without_a_limit(saved_models: Path) -> None:
    model = engine("tensorflow").load(saved_models / "total" / "1")

    outputs = model.run("serving_default", {"x": np.ones(3, np.float32)}, inf)
    model.close()

    assert [array.tolist() for array in outputs.values()] == [3]
