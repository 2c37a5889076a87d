"""Run classify and regress requests: check the signature, run it, check and write the outputs.

Models appear here only as signatures and tensors. Every check that fails raises InvalidArgument
with TensorFlow Serving's message.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model_server.codec.dtypes import ENUM_NAMES, short_name
from model_server.codec.float_format import decimals
from model_server.codec.json_writer import json_string_of_bytes
from model_server.engines.protocol import DEFAULT_SIGNATURE, LoadedModel, Signature, Tensors
from model_server.errors import InvalidArgument
from model_server.rest.metadata import signature_text

_INPUTS: Final = "inputs"
_CLASSES: Final = "classes"
_SCORES: Final = "scores"
_OUTPUTS: Final = "outputs"


def classify(model: LoadedModel, name: str, examples: list[bytes], *, strict: bool) -> bytes:
    """Return the body of a classify response; ``strict`` checks the signature's method name."""
    signature = _find_signature(model, name)
    _check_signature(signature, "classification", "classify" if strict else None)
    if len(signature.outputs) not in (1, 2):
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    _check_inputs(signature, "classification")
    if not {_CLASSES, _SCORES} & signature.outputs.keys():
        raise InvalidArgument(
            "Expected classification signature outputs to contain at least one of"
            f' "{_CLASSES}" or "{_SCORES}". Signature was: {signature_text(signature)}'
        )
    outputs = _run(model, name, examples)
    return _classifications(outputs, len(examples))


def regress(model: LoadedModel, name: str, examples: list[bytes], *, strict: bool) -> bytes:
    """Return the body of a regress response; ``strict`` checks the signature's method name."""
    signature = _find_signature(model, name)
    _check_signature(signature, "regression", "regress" if strict else None)
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    _check_inputs(signature, "regression")
    if _OUTPUTS not in signature.outputs:
        raise InvalidArgument(
            f"No regression outputs found in SignatureDef: {signature_text(signature)}"
        )
    output = _run(model, name, examples)[_OUTPUTS]
    _check_regression(output, len(examples))
    return f'{{\n    "results": [{", ".join(decimals(output.reshape(-1)))}]\n}}'.encode()


def _find_signature(model: LoadedModel, name: str) -> Signature:
    wanted = name or DEFAULT_SIGNATURE
    if wanted not in model.signatures:
        raise InvalidArgument(f"No signature was found with the name: {wanted}")
    return model.signatures[wanted]


def _check_signature(signature: Signature, kind: str, method: str | None) -> None:
    expected = f"tensorflow/serving/{method}"
    if method and signature.method_name != expected:
        raise InvalidArgument(
            f"Expected {kind} signature method_name to be {expected}. Was: {signature.method_name}"
        )
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")


def _check_inputs(signature: Signature, kind: str) -> None:
    if _INPUTS not in signature.inputs:
        raise InvalidArgument(
            f"No {kind} inputs found in SignatureDef: {signature_text(signature)}"
        )


def _run(model: LoadedModel, name: str, examples: list[bytes]) -> Tensors:
    serialized = np.empty(len(examples), dtype=object)
    serialized[:] = examples
    return model.run(name or DEFAULT_SIGNATURE, {_INPUTS: serialized})


def _classifications(outputs: Tensors, count: int) -> bytes:
    labels, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    for name, array, dtype in ((_CLASSES, labels, "string"), (_SCORES, scores, "float")):
        if array is not None:
            _check_classes(name, array, dtype, count)
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise InvalidArgument(
            "Tensors class and score should match in dim_size(1). Got"
            f" {labels.shape[1]} vs. {scores.shape[1]}"
        )
    texts = _class_texts(labels, scores)
    width = len(texts) // count
    rows = (f"[{', '.join(texts[at * width : (at + 1) * width])}]" for at in range(count))
    return f'{{\n    "results": [{", ".join(rows)}\n    ]\n}}'.encode("utf-8", "surrogateescape")


def _class_texts(labels: NDArray[Any] | None, scores: NDArray[Any] | None) -> list[str]:
    """Return ``["label", score]`` for each class of each example.

    Without labels each label is empty; without scores each score is 0.0.
    """
    size = (labels if labels is not None else scores if scores is not None else np.empty(0)).size
    names = ['""'] * size if labels is None else list(map(json_string_of_bytes, labels.reshape(-1)))
    numbers = ["0.0"] * size if scores is None else decimals(scores.reshape(-1))
    return [f"[{name}, {number}]" for name, number in zip(names, numbers, strict=True)]


def _check_classes(name: str, array: NDArray[Any], dtype: str, count: int) -> None:
    if array.ndim != 2:
        raise InvalidArgument(
            f"Expected Tensor shape: [batch_size num_classes] but got {_shape_text(array)}"
        )
    if short_name(array) != dtype:
        raise InvalidArgument(
            f"Expected {name} Tensor of {ENUM_NAMES[dtype]}. Got: {_enum_name(array)}"
        )
    if array.shape[0] != count:
        raise InvalidArgument(
            f"Expected {name} output batch size of {count}. Got: {array.shape[0]}"
        )


def _check_regression(output: NDArray[Any], count: int) -> None:
    if not (output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1)):
        raise InvalidArgument(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1]"
            f" but got {_shape_text(output)}"
        )
    if output.shape[0] != count:
        raise InvalidArgument(
            f"Input batch size did not match output batch size: {count} vs. {output.shape[0]}"
        )
    if short_name(output) != "float":
        raise InvalidArgument(f"Expected output Tensor of DT_FLOAT.  Got: {_enum_name(output)}")


def _shape_text(array: NDArray[Any]) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _enum_name(array: NDArray[Any]) -> str:
    return ENUM_NAMES.get(short_name(array), short_name(array))
