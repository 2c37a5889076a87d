from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from google.protobuf import json_format
from numpy.typing import NDArray

from model_server.inference.classify_regress import Classifications
from model_server.models.registry import ModelRequest
from model_server.request_log.records import (
    Answered,
    Call,
    ExamplesCall,
    LogKind,
    PredictCall,
    SerializedCall,
    prediction_log,
)
from serving_api.messages import message
from serving_api.tensor_reader import parse, to_array
from tests.model_server.toy import signature

PREDICTED = Answered(LogKind.PREDICT, 3, "serving_default")


def log_of(call: Call, model: str = "m", rate: float = 0.5) -> Any:
    return message("PredictionLog").FromString(b"".join(prediction_log(call, model, rate)))


def as_dict(proto: Any) -> Any:
    return json_format.MessageToDict(proto, preserving_proto_field_name=True)


def tensors(entries: Any) -> dict[str, NDArray[Any]]:
    return {e.key: to_array(parse(memoryview(e.value.SerializeToString()))) for e in entries}


def predict_call(asked: ModelRequest, inputs: dict[str, NDArray[Any]]) -> PredictCall:
    types = {"x": "float", "s": "string"}
    outputs = {"y": np.array([[0.5], [1.5]], np.float32)}
    return PredictCall(PREDICTED, asked, "", signature(types, {"y": "float"}), inputs, outputs)


def test_a_predict_call_is_logged_with_its_tensors() -> None:
    inputs = {
        "x": np.array([[1, 2]], np.float32),
        "s": np.array([b"\xff", b""], dtype=object),
    }

    call = predict_call(ModelRequest("m"), inputs)
    log = log_of(call)
    response = message("PredictResponse").FromString(log.predict_log.response)

    request = log.predict_log.request
    assert as_dict(request.model_spec) == {"name": "m"}
    logged = tensors(request.inputs)
    assert logged["x"].tolist() == [[1, 2]]
    assert logged["s"].tolist() == [b"\xff", b""]
    assert list(request.inputs[1].value.string_val) == [b"\xff", b""]
    assert tensors(response.outputs)["y"].tolist() == [[0.5], [1.5]]
    spec = {"name": "m", "version": {"value": "3"}, "signature_name": "serving_default"}
    assert as_dict(response.model_spec) == spec
    assert as_dict(log.log_metadata) == {
        "model_spec": spec,
        "sampling_config": {"sampling_rate": 0.5},
    }
    assert call.size() == 8 + 1 + 8


@pytest.mark.parametrize(
    ("asked", "spec"),
    [
        (ModelRequest("m", version=0), {"name": "m", "version": {}}),
        (ModelRequest("m", label="stable"), {"name": "m", "version_label": "stable"}),
    ],
)
def test_version_and_label_are_logged_as_they_were_sent(
    asked: ModelRequest, spec: dict[str, Any]
) -> None:
    log = log_of(predict_call(asked, {"x": np.ones(1, np.float32)}))

    assert as_dict(log.predict_log.request.model_spec) == spec


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, -1], np.int64),
        np.array([True, False]),
        np.array([1, 2], ml_dtypes.bfloat16),
        np.zeros((0, 3), np.float32),
        np.array(1.5, np.float64),
    ],
    ids=lambda array: str(array.dtype),
)
def test_tensors_of_every_kind_are_logged(array: NDArray[Any]) -> None:
    logged = tensors(
        log_of(predict_call(ModelRequest("m"), {"x": array})).predict_log.request.inputs
    )

    np.testing.assert_array_equal(logged["x"], array)
    assert logged["x"].dtype == array.dtype


def test_a_classify_call_is_logged_with_its_examples() -> None:
    classes = Classifications(np.array([[b"a"]], dtype=object), np.array([[0.5]], np.float32))
    answered = Answered(LogKind.CLASSIFY, 1, "c")

    call = ExamplesCall(answered, ModelRequest("m"), "c", [b"\n\0"], classes)
    log = log_of(call).classify_log
    response = message("ClassificationResponse").FromString(log.response)

    assert list(log.request.input.example_list.examples) == [b"\n\0"]
    assert log.request.model_spec.signature_name == "c"
    assert [(c.label, c.score) for c in response.result.classifications[0].classes] == [(b"a", 0.5)]
    assert response.model_spec.version.value == 1


def test_a_regress_call_is_logged_with_its_values() -> None:
    answered = Answered(LogKind.REGRESS, 1, "serving_default")
    values = np.array([1, 2], np.float32)

    log = log_of(ExamplesCall(answered, ModelRequest("m"), "", [b"", b""], values)).regress_log
    response = message("RegressionResponse").FromString(log.response)

    assert [regression.value for regression in response.result.regressions] == [1, 2]


def test_serialized_messages_are_logged_as_they_are() -> None:
    request = message("MultiInferenceRequest")()
    request.tasks.add(method_name="tensorflow/serving/regress")
    response = message("MultiInferenceResponse")()
    response.results.add().regression_result.regressions.add(value=1)
    call = SerializedCall(
        Answered(LogKind.MULTI_INFERENCE, 2, ""),
        request.SerializeToString(),
        response.SerializeToString(),
    )

    log = log_of(call)

    assert log.multi_inference_log.request == request
    assert log.multi_inference_log.response == response.SerializeToString()
    assert as_dict(log.log_metadata.model_spec) == {"name": "m", "version": {"value": "2"}}
