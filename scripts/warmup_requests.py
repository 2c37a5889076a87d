"""Write the requests that TensorFlow Serving replays before a version becomes available.

The file is a TFRecord of ``tensorflow.serving.PredictionLog``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from model_catalog.spec import ModelSpec

#: Path below the version folder, prescribed by TensorFlow Serving.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


def write_warmup(
    folder: Path, spec: ModelSpec, only: Sequence[str] = ("serving_default", "pixels")
) -> None:
    """Write one request with a black image for each of these signatures."""
    import tensorflow as tf

    shape = (1, spec.images.height, spec.images.width, spec.images.channels)
    black = bytes(spec.images.height * spec.images.width * spec.images.channels)
    requests = {
        "serving_default": {"input_image": tf.make_tensor_proto(0.0, tf.float32, shape)},
        "pixels": {"pixels": tf.make_tensor_proto([black], tf.string)},
    }
    with tf.io.TFRecordWriter(str(folder / WARMUP_FILE)) as records:
        for signature in only:
            log = prediction_log(spec.name, signature, requests[signature])
            records.write(log.SerializeToString())


def prediction_log(model: str, signature: str, inputs: Mapping[str, Message]) -> Message:
    """Return a PredictionLog that holds one predict request; the inputs are TensorProtos."""
    from serving_api.messages import message

    log: Message = message("PredictionLog")()
    request = log.predict_log.request
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for key, tensor in inputs.items():
        request.inputs.add(key=key).value.ParseFromString(tensor.SerializeToString())
    return log
