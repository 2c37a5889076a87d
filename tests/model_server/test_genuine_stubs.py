"""The stubs of the package tensorflow-serving-api against this server, method by method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.model_server.grpc_api.calls import RawClient, grpc_server, registry_of
from tests.model_server.grpc_api.models import models

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def client() -> Iterator[RawClient]:
    reloads: list[list[str]] = []

    def reload(configs: Any, *_: object) -> None:
        reloads.append([config.name for config in configs.config])

    with grpc_server(registry_of(models()), reload=reload) as client:
        yield client
    assert reloads == [["m"]]


@pytest.fixture(scope="module")
def prediction(client: RawClient) -> Any:
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    return prediction_service_pb2_grpc.PredictionServiceStub(client.channel)


@pytest.fixture(scope="module")
def model_service(client: RawClient) -> Any:
    from tensorflow_serving.apis import model_service_pb2_grpc

    return model_service_pb2_grpc.ModelServiceStub(client.channel)


def test_predict(prediction: Any) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.model_spec.version.value = 1
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1, 3], np.float32)))

    response = prediction.Predict(request, 10.0)

    assert list(response.outputs["y"].float_val) == [2.5, 3.5]
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [2.5, 3.5]
    assert response.model_spec.version.value == 1


def test_metadata(prediction: Any) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "fill"

    response = prediction.GetModelMetadata(request, 10.0)

    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    definition = signatures.signature_def["serving_default"]
    assert definition.inputs["a"].name == "a:0"
    assert definition.defaults["b"].float_val[:] == [7]


def example_request(request: Any, signature: str) -> Any:
    import tensorflow as tf

    request.model_spec.name, request.model_spec.signature_name = "examples", signature
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[1]))
    features = tf.train.Features(feature={"x": feature})
    request.input.example_list.examples.append(tf.train.Example(features=features))
    return request


def test_classify_regress_and_several(prediction: Any) -> None:
    from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

    classify = example_request(classification_pb2.ClassificationRequest(), "")
    # The label of the second class is not UTF-8, which the stubs refuse to read.
    with pytest.raises(Exception, match="INTERNAL|deserializ"):
        prediction.Classify(classify, 10.0)
    regress = example_request(regression_pb2.RegressionRequest(), "reg")
    value = prediction.Regress(regress, 10.0).result.regressions[0].value
    assert value == len(regress.input.example_list.examples[0].SerializeToString())
    several = inference_pb2.MultiInferenceRequest(input=regress.input)
    several.tasks.add(model_spec=regress.model_spec, method_name="tensorflow/serving/regress")
    (result,) = prediction.MultiInference(several, 10.0).results
    assert result.regression_result.regressions[0].value == value


def test_status_and_reload(model_service: Any) -> None:
    from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    versions = model_service.GetModelStatus(request, 10.0).model_version_status
    reload = model_management_pb2.ReloadConfigRequest()
    config = reload.config.model_config_list.config.add()
    config.name, config.base_path, config.model_platform = "m", "/m", "tensorflow"

    response = model_service.HandleReloadConfigRequest(reload, 10.0)

    assert [(status.version, status.state) for status in versions] == [(2, 30), (1, 30), (0, 30)]
    assert (response.status.error_code, response.status.error_message) == (0, "")
