"""Turn answered calls into serialized PredictionLogs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from model_catalog.protos import number
from model_server.engines.protocol import Signature, TensorInfo, Tensors
from model_server.inference.results import fill_classes, fill_values
from model_server.models.registry import ModelRequest
from serving_api import protobuf_wire as wire
from serving_api.messages import Message, message, set_version
from serving_api.tensor_map import entry_pieces
from serving_api.tensor_writer import Piece, tensor_bytes


class LogKind(StrEnum):
    """The fields of a PredictionLog."""

    PREDICT = "predict_log"
    CLASSIFY = "classify_log"
    REGRESS = "regress_log"
    MULTI_INFERENCE = "multi_inference_log"


@dataclass(frozen=True, slots=True)
class Answered:
    """What is known of every call that was answered."""

    kind: LogKind

    version: int
    """The version that answered."""

    signature_name: str
    """The signature that ran; empty if there were several."""


class Call(Protocol):
    """An answered call that may be logged."""

    @property
    def answered(self) -> Answered:
        """What is known of every call."""

    def size(self) -> int:
        """Return how many bytes its messages have, about."""

    def messages(self) -> tuple[bytes, bytes]:
        """Return the serialized request and response."""


@dataclass(frozen=True, slots=True)
class SerializedCall:
    """A call whose messages are serialized, as over gRPC."""

    answered: Answered
    request: bytes
    response: bytes

    def size(self) -> int:
        """Return how many bytes its messages have."""
        return len(self.request) + len(self.response)

    def messages(self) -> tuple[bytes, bytes]:
        """Return the serialized request and response."""
        return self.request, self.response


@dataclass(frozen=True, slots=True)
class PredictCall:
    """A predict call with its tensors, as over REST."""

    answered: Answered

    asked: ModelRequest
    asked_signature: str
    """The name of the signature as it was sent, empty for the default one."""

    signature: Signature
    inputs: Tensors
    outputs: Tensors

    def size(self) -> int:
        """Return how many bytes its tensors have."""
        return sum(map(_size, (*self.inputs.values(), *self.outputs.values())))

    def messages(self) -> tuple[bytes, bytes]:
        """Return the serialized PredictRequest and PredictResponse."""
        asked = _asked_spec(self.asked, self.asked_signature)
        spec = _answered_spec(self.asked.model, self.answered)
        request = [
            _field("PredictRequest", "model_spec", asked),
            *_tensors("PredictRequest", "inputs", self.inputs, self.signature.inputs),
        ]
        response = [
            *_tensors("PredictResponse", "outputs", self.outputs, self.signature.outputs),
            _field("PredictResponse", "model_spec", spec),
        ]
        return b"".join(request), b"".join(response)


@dataclass(frozen=True, slots=True)
class ExamplesCall:
    """A classify or regress call with its serialized tf.Examples, as over REST."""

    answered: Answered

    asked: ModelRequest
    asked_signature: str
    examples: list[bytes]

    results: Any
    """The Classifications, or the values of a regression."""

    def size(self) -> int:
        """Return how many bytes its examples have; the results are counted as much."""
        return 2 * sum(map(len, self.examples))

    def messages(self) -> tuple[bytes, bytes]:
        """Return the serialized request and response."""
        request = message("ExamplesRequest")()
        request.model_spec.MergeFromString(_asked_spec(self.asked, self.asked_signature))
        request.input.example_list.examples.extend(self.examples)
        name, fill = _RESPONSES[self.answered.kind]
        response = message(name)()
        fill(response.result, self.results)
        response.model_spec.MergeFromString(_answered_spec(self.asked.model, self.answered))
        return request.SerializeToString(), response.SerializeToString()


_RESPONSES: Final[Mapping[LogKind, tuple[str, Any]]] = {
    LogKind.CLASSIFY: ("ClassificationResponse", fill_classes),
    LogKind.REGRESS: ("RegressionResponse", fill_values),
}
#: The responses with classes, and where these are.
_CLASSIFIED: Final[Mapping[LogKind, tuple[str, Callable[[Message], list[Message]]]]] = {
    LogKind.CLASSIFY: ("ClassificationResponse", lambda response: [response.result]),
    LogKind.MULTI_INFERENCE: (
        "MultiInferenceResponse",
        lambda response: [result.classification_result for result in response.results],
    ),
}
_LOGS: Final = {
    LogKind.PREDICT: "PredictLog",
    LogKind.CLASSIFY: "ExamplesLog",
    LogKind.REGRESS: "ExamplesLog",
    LogKind.MULTI_INFERENCE: "MultiInferenceLog",
}


def prediction_log(call: Call, model: str, sampling_rate: float) -> tuple[bytes, ...]:
    """Return the pieces of a serialized PredictionLog; its messages are not copied."""
    kind = call.answered.kind
    request, response = call.messages()
    response = with_utf8_labels(kind, response)
    before_request = wire.head(number(_LOGS[kind], "request"), len(request))
    before_response = wire.head(number(_LOGS[kind], "response"), len(response))
    log = (before_request, request, before_response, response)
    metadata = message("LogMetadata")()
    metadata.model_spec.MergeFromString(_answered_spec(model, call.answered))
    metadata.sampling_config.sampling_rate = sampling_rate
    return (
        _field("PredictionLog", "log_metadata", metadata.SerializeToString()),
        wire.head(number("PredictionLog", kind), sum(map(len, log))),
        *log,
    )


def with_utf8_labels(kind: LogKind, response: bytes) -> bytes:
    """Replace bytes in class labels that are not UTF-8: no reader would accept the record."""
    if kind not in _CLASSIFIED:
        return response
    name, results = _CLASSIFIED[kind]
    parsed = message(name).FromString(response)
    classes = [
        c for result in results(parsed) for row in result.classifications for c in row.classes
    ]
    for each in classes:
        each.label = each.label.decode("utf-8", "replace").encode()
    return bytes(parsed.SerializeToString())


def _tensors(
    name: str, field: str, tensors: Tensors, infos: Mapping[str, TensorInfo]
) -> list[Piece]:
    place = number(name, field)
    return [
        part
        for alias, info in infos.items()
        if alias in tensors
        for part in entry_pieces(place, alias, [_tensor(tensors[alias], info)])
    ]


def _tensor(array: NDArray[Any], info: TensorInfo) -> bytes:
    # tf.make_ndarray reads strings from string_val only.
    return tensor_bytes(array, as_content=array.dtype != np.object_, declared=info.dtype)


def _size(array: NDArray[Any]) -> int:
    if array.dtype != np.object_:
        return array.nbytes
    return sum(map(len, array.reshape(-1).tolist()))


def _field(name: str, field: str, content: bytes) -> bytes:
    return wire.length_delimited(number(name, field), content)


def _asked_spec(asked: ModelRequest, signature: str) -> bytes:
    spec = message("ModelSpec")(name=asked.model, signature_name=signature)
    if asked.label is not None:
        spec.version_label = asked.label
    elif asked.version is not None:
        set_version(spec, asked.version)
    return bytes(spec.SerializeToString())


def _answered_spec(model: str, answered: Answered) -> bytes:
    spec = message("ModelSpec")(name=model, signature_name=answered.signature_name)
    set_version(spec, answered.version)
    return bytes(spec.SerializeToString())
