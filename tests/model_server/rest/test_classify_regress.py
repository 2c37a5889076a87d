from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from model_server.codec.json_reader import Document
from model_server.engines.protocol import Signature, Tensors
from model_server.errors import InvalidArgument, ModelServerError
from model_server.inference.classify_regress import classify, regress
from model_server.rest.classify_regress import classify_body, regress_body
from model_server.rest.examples import serialized_examples
from serving_api.messages import message
from tests.model_server.toy import ToyModel, signature


def examples(document: object) -> list[dict[str, Any]]:
    """Return the features of each example, as TensorFlow would parse them."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return [_features(data) for data in Document(text).read(serialized_examples)]


def _features(data: bytes) -> dict[str, Any]:
    parsed = message("Example").FromString(data)
    return {
        entry.key.decode(): [
            value
            for kind in ("bytes_list", "float_list", "int64_list")
            for value in getattr(entry.value, kind).value
        ]
        for entry in parsed.features.feature
    }


def refusal(document: object) -> str:
    with pytest.raises(ModelServerError) as caught:
        examples(document)
    return caught.value.message


def test_the_kind_of_a_feature_comes_from_its_values() -> None:
    [found] = examples(
        {"examples": [{"f": 1.5, "i": [1, True], "s": ["é", {"b64": "AA=="}], "none": []}]}
    )

    assert found == {"f": [1.5], "i": [1, 1], "s": ["é".encode(), b"\0"], "none": []}


def test_the_context_stands_in_front_of_each_example() -> None:
    found = examples({"context": {"a": 1}, "examples": [{"b": 2}, {}]})

    assert found == [{"a": [1], "b": [2]}, {"a": [1]}]


def test_the_last_of_equal_features_counts() -> None:
    assert examples(b'{"examples": [{"a": 1, "a": 2}]}') == [{"a": [2]}]


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (
            {},
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
        ),
        (
            {"examples": 1},
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        (
            {"examples": []},
            "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array",
        ),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"context": [], "examples": [{}]}, "Example must be JSON object but got JSON Array"),
        ({"examples": [{"a": None}]}, "Feature: a has element with unexpected JSON type: Null"),
        ({"examples": [{"a": [[1]]}]}, "Feature: a has element with unexpected JSON type: Array"),
        ({"examples": [{"a": {}}]}, "Feature: a has element with unexpected JSON type: Object"),
        ({"examples": [{"a": {"b64": "!"}}]}, "Unable to base64 decode"),
        (
            {"examples": [{"a": [1, 1.5]}]},
            "Unexpected element type in feature: a expecting type: int64",
        ),
        (
            {"examples": [{"a": ["x", 1]}]},
            "Unexpected element type in feature: a expecting type: bytes",
        ),
        (
            {"examples": [{"a": [0.5, True]}]},
            "Unexpected element type in feature: a expecting type: float",
        ),
        (
            {"examples": [{"a": 2**63}]},
            "Feature: a has uint64_t element. Only int64_t is supported.",
        ),
    ],
)
def test_mistakes_in_examples(document: object, text: str) -> None:
    assert refusal(document) == text


def model(sig: Signature, **outputs: Any) -> ToyModel:
    def function(_: Tensors) -> Tensors:
        return outputs

    return ToyModel({"serving_default": sig}, {"serving_default": function})


CLASSIFY = signature({"inputs": "string"}, {"classes": "string", "scores": "float"})
SCORES = signature({"inputs": "string"}, {"scores": "float"})
REGRESS = signature({"inputs": "string"}, {"outputs": "float"})


def strings(*rows: list[bytes]) -> Any:
    return np.array(rows, dtype=object)


def scores(*rows: list[float]) -> Any:
    return np.array(rows, dtype=np.float32)


def test_classes_and_scores_are_paired() -> None:
    toy = model(CLASSIFY, classes=strings([b"a", b"b"]), scores=scores([0.25, 0.5]))

    body = classify_body(classify(toy, "", [b""], strict=False))

    assert body.decode() == '{\n    "results": [[["a", 0.25], ["b", 0.5]]\n    ]\n}'


def test_what_is_missing_in_a_classification_is_neutral() -> None:
    only_scores = classify(model(SCORES, scores=scores([1], [2])), "", [b"", b""], strict=False)
    labels = signature({"inputs": "string"}, {"classes": "string"})
    only_classes = classify(model(labels, classes=strings([b"a"])), "", [b""], strict=False)

    assert (
        classify_body(only_scores).decode()
        == '{\n    "results": [[["", 1.0]], [["", 2.0]]\n    ]\n}'
    )
    assert classify_body(only_classes).decode() == '{\n    "results": [[["a", 0.0]]\n    ]\n}'


@pytest.mark.parametrize("output", [scores([1], [2]), scores([1], [2]).reshape(-1)])
def test_regressions_are_one_list(output: Any) -> None:
    body = regress_body(regress(model(REGRESS, outputs=output), "", [b"", b""], strict=False))

    assert body.decode() == '{\n    "results": [1.0, 2.0]\n}'


@pytest.mark.parametrize(
    ("sig", "run", "text"),
    [
        (signature({}, {"outputs": "float"}), regress, "Expected one input Tensor."),
        (CLASSIFY, regress, "Expected one output Tensor."),
        (
            signature({"x": "string"}, {"outputs": "float"}),
            regress,
            "No regression inputs found in SignatureDef: goo.gle/debugonly",
        ),
        (SCORES, regress, "No regression outputs found in SignatureDef: goo.gle/debugonly"),
        (
            signature({"x": "string"}, {"scores": "float"}),
            classify,
            "No classification inputs found in SignatureDef: goo.gle/debugonly",
        ),
        (
            signature({"inputs": "string"}, dict.fromkeys("abc", "float")),
            classify,
            "Expected one or two output Tensors, found 3",
        ),
        (REGRESS, classify, "Expected classification signature outputs to contain at least one of"),
    ],
)
def test_signatures_that_do_not_fit(sig: Signature, run: Any, text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        run(model(sig), "", [b""], strict=False)

    assert caught.value.message.startswith(text)


@pytest.mark.parametrize(
    ("run", "sig", "outputs", "text"),
    [
        (
            classify,
            SCORES,
            {"scores": scores([1]).reshape(-1)},
            "Expected Tensor shape: [batch_size num_classes] but got [1]",
        ),
        (
            classify,
            SCORES,
            {"scores": np.ones((1, 1))},
            "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
        ),
        (
            classify,
            SCORES,
            {"scores": scores([1], [2])},
            "Expected scores output batch size of 1. Got: 2",
        ),
        (
            classify,
            CLASSIFY,
            {"scores": scores([1]), "classes": strings([b"a", b"b"])},
            "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
        ),
        (
            regress,
            REGRESS,
            {"outputs": scores([1, 2])},
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1]"
            " but got [1,2]",
        ),
        (
            regress,
            REGRESS,
            {"outputs": scores([1], [2])},
            "Input batch size did not match output batch size: 1 vs. 2",
        ),
        (
            regress,
            REGRESS,
            {"outputs": np.ones(1)},
            "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE",
        ),
    ],
)
def test_outputs_that_do_not_fit(
    run: Any, sig: Signature, outputs: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        run(model(sig, **outputs), "", [b""], strict=False)

    assert caught.value.message == text


def test_unknown_signatures_are_named() -> None:
    with pytest.raises(InvalidArgument, match="^.*No signature was found with the name: nope$"):
        classify(model(SCORES), "nope", [b""], strict=False)


def test_method_names_are_checked_only_on_demand() -> None:
    toy = model(SCORES, scores=scores([1]))

    assert classify(toy, "", [b""], strict=False).scores is not None
    with pytest.raises(InvalidArgument) as caught:
        classify(toy, "", [b""], strict=True)

    assert caught.value.message == (
        "Expected classification signature method_name to be tensorflow/serving/classify."
        " Was: tensorflow/serving/predict"
    )
