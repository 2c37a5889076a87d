"""Run a ``.tflite`` or frozen ``.pb`` file as if it were one of this project's exports.

Floats in the scaling of the model spec become the graph's input, quantised where it takes small
integers, and its output becomes one row of scores per image. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_catalog.graph_files import RANGES, GraphFile, Quantization
from model_catalog.spec import ModelSpec, OutputSpec
from model_server.engines.export_model import Runner
from model_server.engines.protocol import DEFAULT_SIGNATURE, Signature, TensorInfo
from model_server.engines.raw_pixels import Floats
from model_server.engines.run_limit import RunLimit


def signatures_of(spec: ModelSpec) -> Mapping[str, Signature]:
    """Return the signatures of an export with this spec, except ``image``."""
    size = (-1, spec.images.height, spec.images.width, spec.images.channels)
    scores = TensorInfo("scores", "float", (-1, spec.output.classes))
    return {
        DEFAULT_SIGNATURE: Signature(
            {"input_image": TensorInfo("input_image", "float", size)}, {"scores": scores}
        ),
        "pixels": Signature({"pixels": _strings("pixels")}, {"scores": scores}),
        "describe": Signature({"query": _strings("query")}, {"spec": _strings("spec")}),
    }


def _strings(name: str) -> TensorInfo:
    return TensorInfo(name, "string", (-1,))


class GraphFileRunner:
    """Turns images into inputs of the graph, and its outputs into scores."""

    def __init__(self, runner: Runner, graph: GraphFile, output: OutputSpec) -> None:
        self._runner = runner
        self._graph = graph
        self._output = output

    @property
    def engine(self) -> str:
        """The engine that runs the graph."""
        return self._runner.engine

    def infer(self, images: Floats, limit: RunLimit) -> Floats:
        """Return the scores of [N, height, width, channels], or raise a ModelServerError."""
        floats = images.reshape(len(images), *self._graph.shape)
        inputs = quantized(floats, self._graph.input_quantization)
        size = len(inputs) if self._graph.takes_batches else 1
        outputs = [
            self._runner.infer(inputs[at : at + size], limit) for at in range(0, len(inputs), size)
        ]
        rows = np.concatenate(outputs).reshape(len(inputs), -1)
        scores = dequantized(rows, self._graph.output_quantization)
        is_single = scores.shape[1] == 1 and self._output.classes == 2
        return _of_both_classes(scores, self._output.activation) if is_single else scores

    def close(self) -> None:
        """Free the memory."""
        self._runner.close()


def quantized(values: Floats, to: Quantization | None) -> NDArray[Any]:
    """Return the nearest small integers; the values themselves where the graph takes floats."""
    if to is None:
        return values
    steps = np.rint(values / np.float32(to.scale)) + np.float32(to.zero_point)
    integers: NDArray[Any] = np.clip(steps, *RANGES[to.dtype]).astype(to.dtype)
    return integers


def dequantized(steps: NDArray[Any], of: Quantization | None) -> Floats:
    """Return the real numbers that small integers stand for."""
    values: Floats = steps.astype(np.float32)
    if of is not None:
        values = (values - np.float32(of.zero_point)) * np.float32(of.scale)
    return values


def _of_both_classes(score: Floats, activation: str) -> Floats:
    """Return the scores of two classes, from a graph that returns only the second."""
    other = np.zeros_like(score) if activation == "none" else 1 - score
    return np.concatenate([other, score], axis=1)
