"""Predict over a real socket, with toy models: order of checks, texts, answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model_server.byte_budget import ByteBudget
from model_server.errors import BY_CODE
from model_server.grpc_api.api import GrpcApiOptions
from model_server.metrics import Metrics
from model_server.models.registry import Registry
from serving_api.messages import message
from serving_api.protobuf_wire import length_delimited
from serving_api.tensor_writer import tensor_bytes
from tests.model_server.grpc_api.calls import (
    PREDICT,
    Answer,
    RawClient,
    grpc_server,
    predict_request,
)
from tests.waiting import eventually

X = np.array([1, 3], np.float32)


def ask(client: RawClient, model: str = "", **request: Any) -> Answer:
    return client.call(PREDICT, predict_request(model, **request))


def test_an_answer_has_outputs_and_the_version_that_served(client: RawClient) -> None:
    answer = ask(client, "m", x=X)

    assert answer.outputs["y"].tolist() == [3.5, 4.5]
    assert answer.read("PredictResponse")["model_spec"] == {
        "name": "m",
        "version": {"value": "2"},
        "signature_name": "serving_default",
    }


@pytest.mark.parametrize(
    ("spec", "first"),
    [
        ({"version": {"value": 1}}, 2.5),
        ({"version": {}}, 1.5),
        ({"version_label": "stable"}, 2.5),
        ({"signature_name": "serving_default"}, 3.5),
    ],
)
def test_versions_and_labels(client: RawClient, spec: dict[str, Any], first: float) -> None:
    answer = ask(client, "m", spec=spec, x=X)

    assert answer.outputs["y"][0] == first
    assert "version_label" not in answer.read("PredictResponse")["model_spec"]


A, B = np.array([1, 2], np.float32), np.array([3, 5], np.float32)
SHORT = tensor_bytes(A)[:-1] + b"\x01"
BROKEN = message("Tensor")(dtype=1, tensor_content=b"12345").SerializeToString()


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (b"", "INVALID_ARGUMENT", "Missing ModelSpec"),
        (predict_request(x=X), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (
            predict_request("m", {"version_label": "nope"}),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: nope",
        ),
        (
            predict_request("m", {"version_label": ""}),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: ",
        ),
        (predict_request("x"), "NOT_FOUND", "Servable not found for request: Latest(x)"),
        (
            predict_request("m", {"version": {"value": -3}}),
            "NOT_FOUND",
            "Servable not found for request: Specific(m, -3)",
        ),
        (
            predict_request("m", {"signature_name": "s"}),
            "FAILED_PRECONDITION",
            'Serving signature key "s" not found.',
        ),
        (
            predict_request("other"),
            "FAILED_PRECONDITION",
            'Serving signature key "serving_default" not found.',
        ),
        (
            predict_request("pair", a=A),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({a}) != len({a,b})."
            " Sent extra: {}. Missing but required: {b}.",
        ),
        (
            predict_request("m", z=A, x=BROKEN),
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1 len({x,z}) != len({x})."
            " Sent extra: {z}. Missing but required: {}.",
        ),
        (
            predict_request("m", X=A),
            "INVALID_ARGUMENT",
            "Signature input alias: x(feed name: x:0) not found in request and no default value"
            " provided. Inputs expected to be in the request {X}, or default input alias set: ",
        ),
        (
            predict_request("fill", b=A),
            "INVALID_ARGUMENT",
            "Signature input alias: a(feed name: a:0) not found in request and no default value"
            " provided. Inputs expected to be in the request {b}, or default input alias set: b",
        ),
        (
            predict_request("fill", a=A, z=A),
            "INVALID_ARGUMENT",
            "Inputs contains invalid name. Used request inputs: a, request input: a,z",
        ),
        (
            predict_request("pair", a=A, b=BROKEN, only=("nope",)),
            "INVALID_ARGUMENT",
            "tensor parsing error: b",
        ),
        (
            predict_request("pair", a=A, b=B, only=("nope",)),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: nope"
            " Outputs expected to be in the set {dif,sum}.",
        ),
        (
            predict_request("pair", a=A, b=B, only=("sum", "sum", "nope")),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: sum",
        ),
        (predict_request("picky", x=-A), "INVALID_ARGUMENT", "x must not be negative"),
        (
            predict_request("broken", x=A),
            "INTERNAL",
            "Internal error: ZeroDivisionError while a gRPC call",
        ),
        (b"\xff", "INTERNAL", ""),
        (predict_request("m", x=X)[:-1], "INTERNAL", ""),
        (length_delimited(1, length_delimited(1, b"\xff")), "INTERNAL", ""),
        (length_delimited(2, length_delimited(1, b"\xff")), "INTERNAL", ""),
    ],
)
def test_refusals_in_the_order_of_checks(
    client: RawClient, request_: bytes, code: str, text: str
) -> None:
    assert client.call(PREDICT, request_) == Answer(code, text)


@pytest.mark.parametrize("code", BY_CODE)
def test_every_error_of_a_model_keeps_its_code(client: RawClient, code: str) -> None:
    assert client.predict(f"fails_{code}", x=X) == Answer(code, f"the model says {code}")


def test_the_filter_chooses_the_outputs(client: RawClient) -> None:
    request = predict_request("pair", a=A, b=B, only=("sum",))

    assert set(ask(client, "pair", a=A, b=B).outputs) == {"sum", "dif"}
    assert client.call(PREDICT, request).outputs["sum"].tolist() == [4, 7]
    assert set(client.call(PREDICT, request).outputs) == {"sum"}


def test_defaults_stand_in_for_missing_inputs(client: RawClient) -> None:
    assert ask(client, "fill", a=A).outputs["y"].tolist() == [17, 27]
    assert ask(client, "fill", a=A, b=B).outputs["y"].tolist() == [13, 25]
    assert ask(client, "constant").outputs["y"].tolist() == [1, 1]


def test_pieces_of_a_message_are_merged_and_later_fields_count(client: RawClient) -> None:
    spec = length_delimited(1, length_delimited(1, b"x")) + length_delimited(
        1, length_delimited(1, b"m") + b"\x22\x06stable\x12\x02\x08\x01"
    )
    entry = length_delimited(1, b"x") + length_delimited(2, tensor_bytes(X))
    request = spec + length_delimited(2, length_delimited(1, b"x")) + length_delimited(2, entry)

    answer = client.call(PREDICT, request + b"\x98\x06\x01")

    assert answer.outputs["y"].tolist() == [2.5, 3.5]


def test_a_broadcast_tensor_is_limited(client: RawClient) -> None:
    huge = message("Tensor")(dtype=1, float_val=[1])
    huge.tensor_shape.dim.add(size=2**36)

    answer = client.predict("same", x=huge.SerializeToString())

    assert answer == Answer(
        "RESOURCE_EXHAUSTED", "The tensors of the request need more than 268435456 bytes"
    )


def test_broadcast_tensors_count_against_the_bytes_of_the_server(registry: Registry) -> None:
    wide = message("Tensor")(dtype=1, float_val=[1])
    wide.tensor_shape.dim.add(size=2**20)
    budget = ByteBudget(1 << 20)

    with grpc_server(registry, budget=budget) as client:
        answer = client.predict("same", x=wide.SerializeToString())

        assert answer.code == "UNAVAILABLE"
        assert eventually(lambda: budget.used == 0)


def test_options_of_the_answers_and_of_method_names(registry: Registry) -> None:
    options = GrpcApiOptions(as_content=True, strict_methods=True)

    with grpc_server(registry, api=options) as client:
        response = message("PredictResponse").FromString(client.predict("m", x=X).data)
        own = client.call(PREDICT, predict_request("examples", {"signature_name": "own"}))

    assert response.outputs[0].value.tensor_content == np.array([3.5, 4.5], "<f4").tobytes()
    assert own == Answer(
        "INTERNAL",
        "Expected prediction signature method_name to be one of {tensorflow/serving/predict,"
        " tensorflow/serving/classify, tensorflow/serving/regress}. Was: tensorflow/serving/own",
    )


@pytest.mark.parametrize(("name", "letters"), [("s" * 3000, 0), ("é" * 900, 0)])
def test_long_error_texts_are_cut(client: RawClient, name: str, letters: int) -> None:
    full = f'Serving signature key "{name}" not found.'

    text = ask(client, "m", spec={"signature_name": name}).text

    assert text.endswith("...TRUNCATED")
    kept = text.removesuffix("...TRUNCATED")
    assert full.startswith(kept)
    assert 1022 < len(kept.encode()) <= 1024


def test_calls_are_counted_and_timed(registry: Registry) -> None:
    metrics = Metrics()

    with grpc_server(registry, metrics=metrics) as client:
        client.predict("m", x=X)
        client.predict("m")
        client.predict("nobody")
        client.predict("broken", x=X)
        client.predict("without_memory", x=X)
    text = metrics.text()

    assert ':request_count{model_name="m",status="OK"} 1\n' in text
    assert ':request_count{model_name="m",status="INVALID_ARGUMENT"} 1\n' in text
    assert ':request_count{model_name="nobody",status="NOT_FOUND"} 1\n' in text
    assert ':request_count{model_name="broken",status="INTERNAL"} 1\n' in text
    assert ':request_count{model_name="without_memory",status="RESOURCE_EXHAUSTED"} 1\n' in text
    assert 'request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 1\n' in text
    assert 'runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 1\n' in text
    assert ':request_example_count_total{model="m"} 2\n' in text


def test_a_call_ends_at_its_deadline_and_the_next_one_is_answered(client: RawClient) -> None:
    late = client.predict("m", 0.001, x=np.zeros(1 << 20, np.float32))
    next_one = client.predict("m", x=X)

    assert (late.code, next_one.code) == ("DEADLINE_EXCEEDED", "OK")
