"""The other methods over a real socket, with toy models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from model_server.errors import DeadlineExceeded
from model_server.grpc_api.api import GrpcApiOptions
from model_server.metrics import Metrics
from model_server.models.registry import Registry
from serving_api.messages import message
from tests.model_server.grpc_api.calls import (
    CHECK,
    CLASSIFY,
    METADATA,
    MULTI,
    REGRESS,
    RELOAD,
    STATUS,
    WATCH,
    Answer,
    RawClient,
    built,
    grpc_server,
)
from tests.waiting import PATIENCE_S, eventually


def example(**features: float) -> bytes:
    built_example = message("Example")()
    for name, value in features.items():
        entry = built_example.features.feature.add(key=name.encode())
        entry.value.float_list.value.append(value)
    return bytes(built_example.SerializeToString())


def examples_request(*examples: bytes, context: bytes | None = None, **spec: Any) -> bytes:
    request = message("ExamplesRequest")()
    request.model_spec.name = "examples"
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    if context is None:
        request.input.example_list.examples.extend(examples)
    else:
        request.input.example_list_with_context.examples.extend(examples)
        request.input.example_list_with_context.context = context
    return bytes(request.SerializeToString())


def spec_of(signature: str) -> dict[str, Any]:
    return {"name": "examples", "version": {"value": "1"}, "signature_name": signature}


def test_classes_with_labels_and_scores(client: RawClient) -> None:
    answer = client.call(CLASSIFY, examples_request(example(x=1), example()))

    read = message("ClassificationResponse").FromString(answer.data)
    rows = [[(c.label, c.score) for c in row.classes] for row in read.result.classifications]
    assert rows == [[(b"a", 0.25), (b"\xff", 0.75)]] * 2
    assert answer.read("ClassificationResponse")["model_spec"] == spec_of("serving_default")


def test_regressions_with_a_context(client: RawClient) -> None:
    one, context = example(x=1), example(long_name=1)

    answer = client.call(REGRESS, examples_request(one, context=context, signature_name="reg"))

    assert answer.read("RegressionResponse") == {
        "result": {"regressions": [{"value": float(len(one) + len(context))}]},
        "model_spec": spec_of("reg"),
    }


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        (CLASSIFY, b"", "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            CLASSIFY,
            examples_request(signature_name="no"),
            "INVALID_ARGUMENT",
            "No signature was found with the name: no",
        ),
        (CLASSIFY, examples_request(), "INVALID_ARGUMENT", "Input is empty."),
        (CLASSIFY, examples_request(context=b""), "INVALID_ARGUMENT", "Input is empty."),
        (REGRESS, examples_request(), "INVALID_ARGUMENT", "Expected one output Tensor."),
        (CLASSIFY, examples_request(b"\xff"), "INTERNAL", ""),
        (REGRESS, examples_request(context=b"\xff"), "INTERNAL", ""),
    ],
)
def test_refused_examples(
    client: RawClient, method: str, request_: bytes, code: str, text: str
) -> None:
    assert client.call(method, request_) == Answer(code, text)


def multi(*tasks: tuple[str, str, str], examples: int = 1) -> bytes:
    request = message("MultiInferenceRequest")()
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = model, signature
    request.input.example_list.examples.extend([example()] * examples)
    return bytes(request.SerializeToString())


def test_several_tasks_have_their_results_in_order(client: RawClient) -> None:
    answer = client.call(MULTI, multi(("examples", "reg", "regress"), ("examples", "", "classify")))

    first, second = answer.read("MultiInferenceResponse")["results"]
    assert first == {
        "model_spec": spec_of("reg"),
        "regression_result": {"regressions": [{"value": 0.0}]} | {"regressions": [{}]},
    }
    assert second["model_spec"] == spec_of("serving_default")
    assert len(second["classification_result"]["classifications"][0]["classes"]) == 2


REG, CLS = ("examples", "reg", "regress"), ("examples", "", "classify")


def test_the_examples_of_several_tasks_count_once(registry: Registry) -> None:
    metrics = Metrics()

    with grpc_server(registry, metrics=metrics) as client:
        client.call(MULTI, multi(REG, CLS, examples=3))

    assert ':request_example_count_total{model="examples"} 3\n' in metrics.text()
    assert "request_count{" not in metrics.text()


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (b"", "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (multi(REG, ("", "", "")), "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."),
        (
            multi(REG, ("m", "", "")),
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            multi(CLS, ("examples", "serving_default", "classify")),
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: serving_default",
        ),
        (
            multi(("examples", "no", "regress")),
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: no",
        ),
        (
            multi(("examples", "reg", "predict")),
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (multi(("x", "", "")), "NOT_FOUND", "Servable not found for request: Latest(x)"),
        (multi(REG, examples=0), "INVALID_ARGUMENT", "Input is empty."),
    ],
)
def test_refused_tasks(client: RawClient, request_: bytes, code: str, text: str) -> None:
    assert client.call(MULTI, request_) == Answer(code, text)


def test_strict_method_names(registry: Registry) -> None:
    with grpc_server(registry, api=GrpcApiOptions(strict_methods=True)) as client:
        answer = client.call(REGRESS, examples_request(example(), signature_name="own"))

    assert answer.text == (
        "Expected regression signature method_name to be tensorflow/serving/regress."
        " Was: tensorflow/serving/own"
    )


def metadata(client: RawClient, spec: dict[str, Any], *fields: str) -> Answer:
    request = {"model_spec": spec, "metadata_field": fields}
    return client.call(METADATA, built("GetModelMetadataRequest", request))


def test_the_metadata_have_all_signatures(client: RawClient) -> None:
    answer = metadata(client, {"name": "fill"}, "signature_def")

    read = message("GetModelMetadataResponse").FromString(answer.data)
    assert answer.read("GetModelMetadataResponse")["model_spec"] == {
        "name": "fill",
        "version": {"value": "1"},
    }
    (entry,) = read.metadata
    assert (entry.key, entry.value.type_url) == (
        "signature_def",
        "type.googleapis.com/tensorflow.serving.SignatureDefMap",
    )
    (described,) = message("SignatureDefMap").FromString(entry.value.value).signature_def
    assert described.key == "serving_default"
    assert [e.key for e in described.value.inputs] == ["a", "b"]
    assert described.value.inputs[0].value.dtype == 1
    assert [e.key for e in described.value.defaults] == ["b"]


def test_the_engine_is_trailing_metadata(client: RawClient) -> None:
    spec = {"model_spec": {"name": "m"}, "metadata_field": ["signature_def"]}
    request = built("GetModelMetadataRequest", spec)

    _, call = client.channel.unary_unary(METADATA).with_call(request, timeout=60)

    assert dict(call.trailing_metadata())["model-engine"] == "toy; precision=f32"


@pytest.mark.parametrize(
    ("spec", "fields", "text"),
    [
        ({}, (), "GetModelMetadataRequest must specify at least one metadata_field"),
        ({}, ("signature_def", "x"), "Metadata field x is not supported"),
        ({}, ("signature_def",), "ModelSpec has no name specified."),
        ({"name": "x"}, ("signature_def",), "Servable not found for request: Latest(x)"),
    ],
)
def test_refused_metadata(
    client: RawClient, spec: dict[str, Any], fields: tuple[str, ...], text: str
) -> None:
    assert metadata(client, spec, *fields).text == text


def status(client: RawClient, **spec: Any) -> Answer:
    return client.call(STATUS, built("GetModelStatusRequest", {"model_spec": spec}))


def test_states_of_versions(client: RawClient) -> None:
    def versions(**spec: Any) -> list[int]:
        found = status(client, **spec).read("GetModelStatusResponse")["model_version_status"]
        assert {entry["state"] for entry in found} == {30}
        return [int(entry.get("version", 0)) for entry in found]

    assert versions(name="m") == [2, 1, 0]
    assert versions(name="m", version={"value": 1}) == [1]
    assert versions(name="m", version_label="whatever") == [2, 1, 0]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"name": "x"}, "Could not find any versions of model x"),
        ({"name": "m", "version": {"value": 9}}, "Could not find version 9 of model m"),
    ],
)
def test_states_that_are_unknown(client: RawClient, spec: dict[str, Any], text: str) -> None:
    assert status(client, **spec) == Answer("NOT_FOUND", text)
    assert client.call(STATUS, b"") == Answer("INVALID_ARGUMENT", "Missing ModelSpec")


@pytest.mark.parametrize(
    "method",
    [
        "/tensorflow.serving.SessionService/SessionRun",
        "/tensorflow.ProfilerService/Profile",
        "/tensorflow.serving.PredictionService/predict",
        "/tensorflow.serving.ModelService/Predict",
    ],
)
def test_methods_that_are_not_supported(client: RawClient, method: str) -> None:
    assert client.call(method, b"").code == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("service", "state"), [("", "OK"), ("ModelService", "OK"), ("nobody", "NOT_FOUND")]
)
def test_health(client: RawClient, service: str, state: str) -> None:
    answer = client.call(CHECK, built("HealthCheckRequest", {"service": service}))

    assert answer.code == state
    assert answer.text == ("service name unknown" if state == "NOT_FOUND" else "")
    assert state != "OK" or answer.read("HealthCheckResponse") == {"status": 1}


def test_watchers_hear_that_the_server_stops(registry: Registry) -> None:
    with grpc_server(registry) as client:
        calls = [
            client.channel.unary_stream(WATCH)(built("HealthCheckRequest", {"service": service}))
            for service in ("", "nobody")
        ]
        states = [message("HealthCheckResponse").FromString(next(call)).status for call in calls]
        cancelled = client.channel.unary_stream(WATCH)(b"")
        next(cancelled)
        cancelled.cancel()
        assert next(client.channel.unary_stream(WATCH)(b"\xff"))
        assert eventually(lambda: client.watchers() <= 3)
        is_drained = client.drain()
        later = [message("HealthCheckResponse").FromString(next(call)).status for call in calls]

    assert is_drained
    assert states == [1, 3]
    assert later == [2, 3]


def config_list(*models: str) -> bytes:
    configs = [{"name": name, "base_path": "/m", "model_platform": "tensorflow"} for name in models]
    return built("ReloadConfigRequest", {"config": {"model_config_list": {"config": configs}}})


def test_a_reload_passes_list_and_deadline_on(registry: Registry) -> None:
    calls: list[tuple[list[str], float, bool]] = []
    metrics = Metrics()

    def reload(configs: Any, timeout_s: float, is_wanted: Callable[[], bool]) -> None:
        calls.append(([config.name for config in configs.config], timeout_s, is_wanted()))
        metrics.count("request_count", "m", "OK", by=3)

    names = [":tensorflow:serving:request_count", "/tensorflow/serving/request_count", "no"]
    request = config_list("a", "b") + built("ReloadConfigRequest", {"metric_names": names})
    with grpc_server(registry, metrics=metrics, reload=reload) as client:
        answer = client.call(RELOAD, request)

    assert answer.read("ReloadConfigResponse") == {
        "status": {},
        "metric": [
            {"name": names[0], "int64_value_increase": "3"},
            {"name": names[1], "int64_value_increase": "3"},
            {"name": "no"},
        ],
    }
    ((models, timeout_s, is_wanted),) = calls
    assert models == ["a", "b"]
    assert 0 < timeout_s < PATIENCE_S
    assert is_wanted


def test_a_reload_needs_a_list_and_reports_errors(registry: Registry) -> None:
    def reload(*_: object) -> None:
        raise DeadlineExceeded("not yet")

    with grpc_server(registry, reload=reload) as client:
        empty = client.call(RELOAD, built("ReloadConfigRequest", {"config": {}}))
        late = client.call(RELOAD, config_list())

    assert empty == Answer(
        "INVALID_ARGUMENT",
        "ServerModelConfig type not supported by HandleReloadConfigRequest."
        " Only ModelConfigList is currently supported",
    )
    assert late == Answer("DEADLINE_EXCEEDED", "not yet")


def test_a_call_without_a_message_is_refused(client: RawClient) -> None:
    call = client.channel.stream_unary(STATUS)

    with pytest.raises(grpc.RpcError):
        call(iter(()), timeout=60)
    assert status(client, name="m").code == "OK"


def test_arrays_of_any_shape_pass_unchanged(client: RawClient) -> None:
    for array in (np.float32(3), np.zeros((2, 0), np.float32), np.ones((1, 2, 1), np.float32)):
        answer = client.predict("same", x=array)

        assert answer.outputs["y"].shape == array.shape
