"""Warm a version up before it becomes available, so that the first request is not slower.

Replays ``assets.extra/tf_serving_warmup_requests``; this project's own exports also get one run of
their ``pixels`` signature. A warm-up request that fails makes the load fail, as in TensorFlow
Serving.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from model_catalog.spec import ModelSpec
from model_server.engines.protocol import DEFAULT_SIGNATURE, LoadedModel
from model_server.errors import InvalidArgument
from model_server.tfrecord import read_records
from serving_api.dtypes import string_array
from serving_api.messages import Message, examples_of, message
from serving_api.tensor_reader import parse, to_array

logger = logging.getLogger(__name__)

REQUESTS_FILE: Final = Path("assets.extra") / "tf_serving_warmup_requests"
PIXELS: Final = "pixels"
_MAX_RECORDS: Final = 1000


def warm_up(model: LoadedModel, path: Path, iterations: int = 1) -> None:
    """Replay the version's warm-up requests, each ``iterations`` times and at least once.

    Raises a ModelServerError for the first record that cannot be read or run.
    """
    file = path / REQUESTS_FILE
    if not file.is_file():
        return
    for number, record in enumerate(read_records(file), start=1):
        log = _parsed(record, file)
        for _ in range(max(iterations, 1)):
            _replay(model, log)
        if number > _MAX_RECORDS:
            raise InvalidArgument(
                f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {file}"
            )


def warm_up_pixels(model: LoadedModel, spec: ModelSpec) -> None:
    """Run the ``pixels`` signature of one of this project's exports on a black image."""
    signature, images = model.signatures.get(PIXELS), spec.input
    if images is None or signature is None or set(signature.inputs) != {PIXELS}:
        return
    size = images.height * images.width * images.channels
    model.run(PIXELS, {PIXELS: string_array([bytes(size)])})


def _parsed(record: bytes, file: Path) -> Message:
    try:
        return message("PredictionLog").FromString(record)
    except DecodeError as error:
        raise InvalidArgument(f"Failed to parse warmup record from {file}") from error


def _replay(model: LoadedModel, log: Message) -> None:
    if log.HasField("predict_log"):
        request = log.predict_log.request
        inputs = {
            entry.key: to_array(parse(memoryview(entry.value.SerializeToString())))
            for entry in request.inputs
        }
        _run(model, request.model_spec.signature_name, inputs)
    elif log.HasField("classify_log"):
        request = log.classify_log.request
        _run_examples(model, request.model_spec, request.input)
    elif log.HasField("regress_log"):
        request = log.regress_log.request
        _run_examples(model, request.model_spec, request.input)
    elif log.HasField("multi_inference_log"):
        request = log.multi_inference_log.request
        for task in request.tasks:
            _run_examples(model, task.model_spec, request.input)
    else:
        logger.warning("A warm-up request of a kind that this server does not know is skipped.")


def _run_examples(model: LoadedModel, spec: Message, given: Message) -> None:
    _run(model, spec.signature_name, {"inputs": string_array(examples_of(given))})


def _run(model: LoadedModel, name: str, inputs: dict[str, Any]) -> None:
    wanted = name or DEFAULT_SIGNATURE
    signature = model.signatures.get(wanted)
    if signature is None:
        raise InvalidArgument(f'Serving signature key "{wanted}" not found.')
    for alias in signature.default_tensors.keys() & signature.inputs.keys() - inputs.keys():
        inputs[alias] = to_array(parse(memoryview(signature.default_tensors[alias])))
    if signature.inputs.keys() != inputs.keys():
        raise InvalidArgument(
            f"A warm-up request has the inputs {', '.join(sorted(inputs))};"
            f" signature {wanted} has {', '.join(sorted(signature.inputs))}."
        )
    model.run(wanted, inputs)
