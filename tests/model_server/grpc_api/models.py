"""The toy models that the tests of the gRPC services ask."""

from __future__ import annotations

from typing import Any

import numpy as np

from model_server.engines.protocol import Signature, TensorInfo, Tensors
from model_server.errors import BY_CODE
from serving_api.tensor_writer import tensor_bytes
from tests.model_server.toy import ToyModel, broken, failing, half_plus, one, picky, signature


def pair(inputs: Tensors) -> Tensors:
    a, b = inputs["a"], inputs["b"]
    return {"sum": a + b, "dif": a - b}


def fill(inputs: Tensors) -> Tensors:
    return {"y": 10 * inputs["a"] + inputs["b"]}


def fill_model() -> ToyModel:
    plain = signature({"a": "float", "b": "float"}, {"y": "float"})
    defaults = {"b": tensor_bytes(np.array([7], np.float32))}
    with_default = Signature(
        plain.inputs, plain.outputs, plain.method_name, default_tensors=defaults
    )
    return ToyModel({"serving_default": with_default}, {"serving_default": fill})


def lengths(inputs: Tensors) -> Tensors:
    sizes = [[float(len(example))] for example in inputs["inputs"]]
    return {"outputs": np.array(sizes, np.float32)}


def classes(inputs: Tensors) -> Tensors:
    count = len(inputs["inputs"])
    labels = np.array([[b"a", b"\xff"]] * count, dtype=object)
    return {"classes": labels, "scores": np.array([[0.25, 0.75]] * count, np.float32)}


def example_model() -> ToyModel:
    given = {"inputs": "string"}
    return ToyModel(
        {
            "serving_default": signature(
                given, {"classes": "string", "scores": "float"}, method="classify"
            ),
            "reg": signature(given, {"outputs": "float"}, method="regress"),
            "own": signature(given, {"outputs": "float"}, method="own"),
        },
        {"serving_default": classes, "reg": lengths, "own": lengths},
    )


def without_memory(_: object) -> Any:
    raise MemoryError


def same(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"]}


def models() -> dict[tuple[str, int], ToyModel]:
    unknown_rank = Signature(
        {"x": TensorInfo("x:0", "float", None)}, {"y": TensorInfo("y:0", "float", None)}
    )
    return {
        ("m", 0): half_plus(1),
        ("m", 1): half_plus(2),
        ("m", 2): half_plus(3),
        ("pair", 1): one(pair, {"a": "float", "b": "float"}, {"sum": "float", "dif": "float"}),
        ("fill", 1): fill_model(),
        ("examples", 1): example_model(),
        ("constant", 1): one(lambda _: {"y": np.ones(2, np.float32)}, {}, {"y": "float"}),
        ("other", 1): ToyModel({"other": unknown_rank}, {"other": same}),
        ("same", 1): ToyModel({"serving_default": unknown_rank}, {"serving_default": same}),
        ("picky", 1): one(picky, {"x": "float"}, {"y": "float"}),
        ("broken", 1): one(broken, {"x": "float"}, {"y": "float"}),
        ("without_memory", 1): one(without_memory, {"x": "float"}, {"y": "float"}),
        **{(f"fails_{code}", 1): failing(code) for code in BY_CODE},
    }
