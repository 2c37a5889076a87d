"""Ask a server with TensorFlow Serving's gRPC API, without TensorFlow: numpy in, numpy out.

```python
with Client("localhost:8500") as client:
    scores = client.predict("digits", {"pixels": [image_bytes]}, signature="pixels")["scores"]
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

import grpc
import numpy as np
from numpy.typing import ArrayLike, NDArray

from model_catalog.protos import number
from model_server.engines.protocol import Signature
from model_server.engines.saved_signatures import signature_of
from model_server.errors import BY_CODE, ModelServerError
from model_server.models.versions import All, Latest, ModelConfig, Policy, Specific, VersionStatus
from serving_api import protobuf_wire as wire
from serving_api import tensor_reader
from serving_api.dtypes import string_array
from serving_api.messages import Message, message, set_version
from serving_api.tensor_map import entry_pieces, read_entry
from serving_api.tensor_writer import Piece, tensor_bytes

_PREDICTION: Final = "/tensorflow.serving.PredictionService/"
_MODEL: Final = "/tensorflow.serving.ModelService/"
_STATES: Final = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_CODES: Final = ("OK", *BY_CODE)
_OUTPUTS: Final = number("PredictResponse", "outputs")


class Client:
    """A connection to one server; safe to use from many threads.

    Every method raises the ModelServerError of the status with which the server answers, and
    DeadlineExceeded after ``timeout_s``.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float | None = 60.0,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._timeout_s = timeout_s
        self._channel = (
            grpc.insecure_channel(target, options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def predict(
        self,
        model: str,
        inputs: Mapping[str, ArrayLike],
        *,
        signature: str = "",
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] = (),
    ) -> dict[str, NDArray[Any]]:
        """Run a signature; return the named outputs, or all. The arrays are read-only."""
        spec = _spec(model, version, label, signature)
        place = number("PredictRequest", "model_spec")
        parts: list[Piece] = [wire.length_delimited(place, spec)]
        for name, value in inputs.items():
            tensor = tensor_bytes(_array(value), as_content=True)
            parts += entry_pieces(number("PredictRequest", "inputs"), name, [tensor])
        for name in outputs:
            place = number("PredictRequest", "output_filter")
            parts.append(wire.length_delimited(place, name.encode()))
        answer = self._call(f"{_PREDICTION}Predict", b"".join(parts))
        entries = [
            read_entry(content)
            for place, kind, content in wire.fields(memoryview(answer))
            if place == _OUTPUTS and kind == wire.BYTES
        ]
        return {name: tensor_reader.to_array(tensor) for name, tensor in entries}

    def status(self, model: str, version: int | None = None) -> list[VersionStatus]:
        """Return the state of each version of a model, the highest first."""
        request = message("GetModelStatusRequest")()
        request.model_spec.MergeFromString(_spec(model, version))
        answer = self._call(f"{_MODEL}GetModelStatus", request.SerializeToString())
        return [
            VersionStatus(
                entry.version,
                _STATES.get(entry.state, "UNKNOWN"),
                _CODES[entry.status.error_code],
                entry.status.error_message,
            )
            for entry in message("GetModelStatusResponse").FromString(answer).model_version_status
        ]

    def metadata(
        self, model: str, version: int | None = None, label: str | None = None
    ) -> dict[str, Signature]:
        """Return the signatures of a model."""
        request = message("GetModelMetadataRequest")(metadata_field=["signature_def"])
        request.model_spec.MergeFromString(_spec(model, version, label))
        answer = self._call(f"{_PREDICTION}GetModelMetadata", request.SerializeToString())
        response = message("GetModelMetadataResponse").FromString(answer)
        described = message("SignatureDefMap").FromString(response.metadata[0].value.value)
        return {entry.key: signature_of(entry.value) for entry in described.signature_def}

    def reload(self, models: Iterable[ModelConfig]) -> None:
        """Replace all configured models; return when the new ones can serve."""
        request = message("ReloadConfigRequest")()
        request.config.model_config_list.SetInParent()
        for model in models:
            config = request.config.model_config_list.config.add(
                name=model.name, base_path=str(model.base_path), model_platform="tensorflow"
            )
            _set_policy(config.model_version_policy, model.policy)
            for label, version in (model.labels or {}).items():
                config.version_labels.add(key=label, value=version)
        self._call(f"{_MODEL}HandleReloadConfigRequest", request.SerializeToString())

    def _call(self, method: str, request: bytes) -> bytes:
        try:
            answer: bytes = self._channel.unary_unary(method)(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            raise _error(error.code().value[0], error.details() or "") from error
        return answer


def _error(code: int, text: str) -> ModelServerError:
    return BY_CODE[_CODES[code]](text)


def _spec(
    model: str, version: int | None = None, label: str | None = None, signature: str = ""
) -> bytes:
    spec = message("ModelSpec")(name=model, signature_name=signature)
    if version is not None:
        set_version(spec, version)
    if label is not None:
        spec.version_label = label
    return bytes(spec.SerializeToString())


def _array(value: ArrayLike) -> NDArray[Any]:
    """Return an array; texts and bytes become an array of ``bytes`` objects."""
    if isinstance(value, np.ndarray) and value.dtype.kind not in "SU":
        return value
    # numpy's own type for bytes would cut zeros at their end.
    array = np.asarray(value)
    if array.dtype.kind not in "SU":
        return array
    objects = np.array(value, dtype=object)
    flat = [item.encode() if isinstance(item, str) else item for item in objects.reshape(-1)]
    return string_array(flat).reshape(objects.shape)


def _set_policy(message: Message, policy: Policy) -> None:
    match policy:
        case All():
            message.all.SetInParent()
        case Specific(versions):
            message.specific.versions.extend(sorted(versions))
        case Latest(count):
            message.latest.num_versions = max(count, 1)
