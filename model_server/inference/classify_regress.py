"""Run signatures that classify or regress: check the signature, run it, check the outputs.

Models appear here only as signatures and tensors. Every check that fails raises InvalidArgument
with TensorFlow Serving's message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from model_server.engines.protocol import DEFAULT_SIGNATURE, LoadedModel, Signature, Tensors
from model_server.errors import InvalidArgument
from model_server.inference.signature_text import signature_text
from serving_api.dtypes import ENUM_NAMES, short_name, string_array

_INPUTS: Final = "inputs"
_CLASSES: Final = "classes"
_SCORES: Final = "scores"
_OUTPUTS: Final = "outputs"


@dataclass(frozen=True, slots=True)
class Classifications:
    """The classes of each example: labels, scores or both, each of shape [examples, classes]."""

    labels: NDArray[Any] | None
    scores: NDArray[Any] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of examples and of classes."""
        present = self.labels if self.labels is not None else self.scores
        return (0, 0) if present is None else present.shape


def classify(
    model: LoadedModel,
    name: str,
    examples: list[bytes],
    *,
    strict: bool,
) -> Classifications:
    """Return the classes of serialized tf.Examples; ``strict`` checks the method name."""
    check_classify(find_signature(model, name), strict=strict)
    return classifications(run_examples(model, name, examples), len(examples))


def regress(
    model: LoadedModel,
    name: str,
    examples: list[bytes],
    *,
    strict: bool,
) -> NDArray[Any]:
    """Return the value of each serialized tf.Example; ``strict`` checks the method name."""
    check_regress(find_signature(model, name), strict=strict)
    return regressions(run_examples(model, name, examples), len(examples))


def check_classify(signature: Signature, *, strict: bool) -> None:
    """Raise InvalidArgument unless the signature can classify."""
    _check_signature(signature, "classification", "classify" if strict else None)
    if len(signature.outputs) not in (1, 2):
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    _check_inputs(signature, "classification")
    if not {_CLASSES, _SCORES} & signature.outputs.keys():
        raise InvalidArgument(
            "Expected classification signature outputs to contain at least one of"
            f' "{_CLASSES}" or "{_SCORES}". Signature was: {signature_text(signature)}'
        )


def check_regress(signature: Signature, *, strict: bool) -> None:
    """Raise InvalidArgument unless the signature can regress."""
    _check_signature(signature, "regression", "regress" if strict else None)
    if len(signature.outputs) != 1:
        raise InvalidArgument("Expected one output Tensor.")
    _check_inputs(signature, "regression")
    if _OUTPUTS not in signature.outputs:
        raise InvalidArgument(
            f"No regression outputs found in SignatureDef: {signature_text(signature)}"
        )


def classifications(outputs: Tensors, count: int) -> Classifications:
    """Return the classes in the outputs of a run on ``count`` examples."""
    labels, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    for name, array, dtype in ((_CLASSES, labels, "string"), (_SCORES, scores, "float")):
        if array is not None:
            _check_classes(name, array, dtype, count)
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise InvalidArgument(
            "Tensors class and score should match in dim_size(1). Got"
            f" {labels.shape[1]} vs. {scores.shape[1]}"
        )
    return Classifications(labels, scores)


def regressions(outputs: Tensors, count: int) -> NDArray[Any]:
    """Return the value of each example in the outputs of a run on ``count`` examples."""
    output = outputs[_OUTPUTS]
    _check_regression(output, count)
    return output.reshape(-1)


def find_signature(model: LoadedModel, name: str) -> Signature:
    """Return a signature, the default one without a name, or raise InvalidArgument."""
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


def run_examples(
    model: LoadedModel, name: str, examples: list[bytes], timeout_s: float | None = None
) -> Tensors:
    """Run a signature on serialized tf.Examples."""
    inputs = {_INPUTS: string_array(examples)}
    return model.run(name or DEFAULT_SIGNATURE, inputs, timeout_s)


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
