"""Calls over both protocols, their records, and the replay of these records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_catalog.request_logs import log_files
from model_server.metrics import Metrics
from model_server.models.warmup import REQUESTS_FILE, warm_up
from model_server.request_log.request_log import RequestLog
from model_server.rest.api import Rest, RestOptions
from serving_api.messages import message
from serving_api.tensor_reader import parse, to_array
from tests.model_server.grpc_api.calls import (
    CLASSIFY,
    MULTI,
    REGRESS,
    RawClient,
    built,
    grpc_server,
    registry_of,
)
from tests.model_server.grpc_api.models import example_model, fill_model, models
from tests.model_server.harness import Client, http_server
from tests.model_server.request_log.logged import logged_models, read_logs
from tests.model_server.toy import half_plus

EXAMPLES = {"examples": [{"a": 1.5}, {"a": 2}]}


@dataclass(frozen=True)
class Logged:
    """A server of both protocols that logs every request."""

    rest: Client
    grpc: RawClient
    log: RequestLog
    prefix: str

    def logs(self) -> list[Any]:
        """Stop logging; return what has been logged."""
        self.log.stop(60)
        return read_logs(self.prefix)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Logged]:
    registry, metrics, prefix = registry_of(models()), Metrics(), str(tmp_path / "logs" / "all")
    log = RequestLog(metrics)
    log.configure(logged_models(prefix, "m", "fill", "examples", "picky"))
    rest = Rest(registry, metrics, RestOptions(), request_log=log)
    with (
        http_server(rest.respond) as client,
        grpc_server(registry, metrics=metrics, request_log=log) as grpc,
    ):
        yield Logged(client, grpc, log, prefix)


def example_input() -> dict[str, Any]:
    return {"example_list": {"examples": ["", "CgA="]}}


def post(client: Client, path: str, document: object) -> None:
    assert client.call("POST", f"/v1/models/{path}", json.dumps(document)).status == 200


def call_everything(server: Logged) -> None:
    rest, grpc = server.rest, server.grpc
    post(rest, "m/labels/stable:predict", {"instances": [1, 2]})
    grpc.predict("m", x=np.array([3], np.float32))
    post(rest, "examples:classify", EXAMPLES)
    post(rest, "examples:regress", {"signature_name": "reg", **EXAMPLES})
    spec = {"name": "examples"}
    grpc.call(CLASSIFY, built("ExamplesRequest", {"model_spec": spec, "input": example_input()}))
    reg = spec | {"signature_name": "reg"}
    grpc.call(REGRESS, built("ExamplesRequest", {"model_spec": reg, "input": example_input()}))
    tasks = [
        {"model_spec": spec, "method_name": "tensorflow/serving/classify"},
        {"model_spec": reg, "method_name": "tensorflow/serving/regress"},
    ]
    grpc.call(MULTI, built("MultiInferenceRequest", {"tasks": tasks, "input": example_input()}))


def output(response: bytes) -> list[float]:
    [entry] = message("PredictResponse").FromString(response).outputs
    values: list[float] = to_array(parse(memoryview(entry.value.SerializeToString()))).tolist()
    return values


def test_every_method_is_logged_over_both_protocols(server: Logged) -> None:
    call_everything(server)

    logs = server.logs()

    kinds = [[field.name for field, _ in log.ListFields()][1] for log in logs]
    assert kinds == [
        *("predict_log", "predict_log"),
        *("classify_log", "regress_log", "classify_log", "regress_log"),
        "multi_inference_log",
    ]
    predicted = [log.predict_log for log in logs[:2]]
    assert [output(log.response) for log in predicted] == [[2.5, 3.0], [4.5]]
    assert [log.log_metadata.model_spec.version.value for log in logs[:2]] == [1, 2]
    assert predicted[0].request.model_spec.version_label == "stable"
    assert [len(log.classify_log.request.input.example_list.examples) for log in logs[2:3]] == [2]
    regressed = message("RegressionResponse").FromString(logs[3].regress_log.response)
    assert len(regressed.result.regressions) == 2


def test_requests_that_fail_are_not_logged(server: Logged) -> None:
    assert server.rest.predict("picky", {"instances": [-1]}).status == 400
    assert server.grpc.predict("picky", x=np.array([-1], np.float32)).code == "INVALID_ARGUMENT"
    assert server.rest.predict("m", {"instances": ["x"]}).status == 400

    assert server.logs() == []


def test_models_without_logging_are_not_logged(server: Logged) -> None:
    assert server.grpc.predict("same", x=np.array([1], np.float32)).code == "OK"

    assert server.logs() == []


@pytest.mark.parametrize("name", ["m", "fill", "examples"])
def test_a_log_file_is_a_file_of_warm_up_requests(
    server: Logged, name: str, tmp_path: Path
) -> None:
    toy = {"m": half_plus(0), "fill": fill_model(), "examples": example_model()}[name]
    server.log.configure(logged_models(server.prefix, name))
    call_everything(server)
    server.grpc.predict("fill", a=np.array([1], np.float32))
    server.log.stop(60)
    [file] = log_files(server.prefix)
    (tmp_path / REQUESTS_FILE).parent.mkdir()
    shutil.copy(file, tmp_path / REQUESTS_FILE)

    warm_up(toy, tmp_path)

    assert len(toy.calls) == {"m": 2, "fill": 1, "examples": 6}[name]


@pytest.mark.tensorflow
def test_tensorflow_and_its_messages_read_the_log_files(server: Logged) -> None:
    prediction_log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="tensorflow-serving-api is not installed",
    )
    import tensorflow as tf

    call_everything(server)
    server.log.stop(60)
    files = list(map(str, log_files(server.prefix)))
    records = tf.data.TFRecordDataset(files).as_numpy_iterator()

    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]

    assert [log.WhichOneof("log_type") for log in logs[1:]] == [
        *("predict_log", "classify_log", "regress_log", "classify_log", "regress_log"),
        "multi_inference_log",
    ]
    predicted = logs[0].predict_log
    assert tf.make_ndarray(predicted.request.inputs["x"]).tolist() == [1, 2]
    assert tf.make_ndarray(predicted.response.outputs["y"]).tolist() == [2.5, 3.0]
    assert predicted.response.model_spec.version.value == 1
    assert logs[0].log_metadata.sampling_config.sampling_rate == 1
    for number in (2, 4):
        classes = logs[number].classify_log.response.result.classifications[1].classes
        assert [(c.label, c.score) for c in classes] == [("a", 0.25), ("\ufffd", 0.75)]
    assert len(logs[-1].multi_inference_log.response.results) == 2
