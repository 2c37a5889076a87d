"""Write the requests that TensorFlow Serving replays before a version becomes available.

The file is a TFRecord of ``tensorflow.serving.PredictionLog``. The messages are declared here with
the few fields in use, in a separate descriptor pool, so that ``tensorflow-serving-api`` is neither
needed nor in conflict. A tensor is declared as bytes, which has the same encoding as an embedded
message.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from model_catalog.spec import ModelSpec

#: Path below the version folder, prescribed by TensorFlow Serving.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"

#: Message -> field -> (number, type); a type that ends in "*" is repeated. The numbers are those of
#: tensorflow_serving/apis/*.proto.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "Input": {"key": (1, "string"), "value": (2, "bytes")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "Input*")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}


def write_warmup(folder: Path, spec: ModelSpec) -> None:
    """Write one request with a black picture for each signature that the gateway may call."""
    import tensorflow as tf

    shape = (1, spec.input.height, spec.input.width, spec.input.channels)
    black = bytes(spec.input.height * spec.input.width * spec.input.channels)
    requests = {
        "serving_default": {"input_image": tf.make_tensor_proto(0.0, tf.float32, shape)},
        "pixels": {"pixels": tf.make_tensor_proto([black], tf.string)},
    }
    with tf.io.TFRecordWriter(str(folder / WARMUP_FILE)) as records:
        for signature, inputs in requests.items():
            records.write(prediction_log(spec.name, signature, inputs).SerializeToString())


def prediction_log(model: str, signature: str, inputs: Mapping[str, Message]) -> Message:
    """Return a PredictionLog that holds one predict request; the inputs are TensorProtos."""
    log = _prediction_log_class()()
    request = log.predict_log.request
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for key, tensor in inputs.items():
        request.inputs.add(key=key, value=tensor.SerializeToString())
    return log


@cache
def _prediction_log_class() -> type[Message]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="warmup.proto", package="warmup")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            message.field.add(name=field, number=number, **_field_type(kind))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("warmup.PredictionLog")
    message_class: type[Message] = message_factory.GetMessageClass(descriptor)
    return message_class


def _field_type(kind: str) -> dict[str, object]:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    label = Field.LABEL_REPEATED if kind.endswith("*") else Field.LABEL_OPTIONAL
    scalars = {"string": Field.TYPE_STRING, "bytes": Field.TYPE_BYTES}
    if kind in scalars:
        return {"label": label, "type": scalars[kind]}
    return {"label": label, "type": Field.TYPE_MESSAGE, "type_name": f".warmup.{kind.rstrip('*')}"}
