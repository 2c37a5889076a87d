"""Find and read the outputs of a graph that returns its best classes itself (top-k). Pure."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pybase64

from flask_server.errors import ServingError
from flask_server.serving.outputs import Outputs
from flask_server.serving.scores import Scores
from flask_server.serving.signatures import (
    FLOATS,
    HALVES,
    INTEGER_OUTPUTS,
    STRING,
    ForeignCall,
    Signatures,
    TensorInfo,
    image_input,
    outputs_of,
    shorten,
    typed,
)
from model_catalog.model_entry import ModelEntry
from model_catalog.top_k import TOP_K_TASKS, Kind, Output, TopK, find_top_k

_KINDS: Final = {
    STRING: Kind.STRING,
    **dict.fromkeys((*FLOATS, *HALVES), Kind.FLOAT),
    **dict.fromkeys(INTEGER_OUTPUTS, Kind.INTEGER),
}


@dataclass(frozen=True, slots=True)
class ReturnedClasses:
    """The classes that a graph returned for one image, in its order."""

    classes: list[str] | list[int]
    """Names, or indices of labels."""

    scores: Scores


def top_k_outputs(signatures: Signatures, entry: ModelEntry) -> TopK | None:
    """Return the outputs with classes and scores; None for a graph with the scores of all classes.

    Raises ServingError if the models file names classes that the signature does not have.
    """
    if entry.task not in TOP_K_TASKS:
        return None
    outputs = outputs_of(signatures, entry.signature)
    has_rows = not image_input(signatures, ForeignCall.of(entry)).is_scalar
    found = find_top_k(
        [_described(tensor) for tensor in outputs],
        entry.classes,
        entry.output,
        has_rows=has_rows,
    )
    if found is None and entry.classes is not None:
        raise ServingError(
            f"The {entry.signature} signature has the outputs {typed(outputs)}; the models file"
            f" names the classes {shorten(entry.classes)}, which must be strings or integers, as"
            " many as there are scores."
        )
    if found is not None and entry.activation == "none":
        raise ServingError(
            f"Model {entry.name} returns its {found.classes} itself, and activation = none needs"
            " the scores of all classes; the models file can name them: output."
        )
    return found


def _described(tensor: TensorInfo) -> Output:
    is_known = bool(tensor.shape) or tensor.is_scalar
    shape = tuple(None if size < 0 else size for size in tensor.shape) if is_known else None
    return Output(tensor.name, _KINDS.get(tensor.dtype, Kind.OTHER), shape)


def read_top_k(outputs: Outputs, top_k: TopK, divisor: float = 1.0) -> ReturnedClasses:
    """Return the classes in the outputs for one image, or raise ServingError.

    All scores are divided by ``divisor``.
    """
    scores = np.asarray(outputs[top_k.scores], np.float64) / divisor
    classes = _classes(outputs[top_k.classes], top_k.classes)
    if scores.ndim > 1 or scores.size != len(classes) or not classes:
        raise ServingError(
            f"Serving returned {len(classes)} {top_k.classes} and scores of shape {scores.shape}"
            " for an image; needed is one score for each class."
        )
    if not np.isfinite(scores).all():
        raise ServingError("The model's scores are not all finite numbers.")
    return ReturnedClasses(classes, np.atleast_1d(scores))


def _classes(values: Any, name: str) -> list[str] | list[int]:  # noqa: ANN401 - any array
    if values.dtype != object:
        return [int(value) for value in values.reshape(-1)]
    found = values.item()
    listed = found if isinstance(found, list) else [found]
    try:
        return [_text(value) for value in listed]
    except (KeyError, TypeError, binascii.Error, ValueError) as error:
        raise ServingError(f"The output {name} in Serving's response has no strings.") from error


def _text(value: object) -> str:
    """Return a string of a response; those of outputs that end in ``_bytes`` are base64."""
    if isinstance(value, dict):
        return pybase64.b64decode(value["b64"], validate=True).decode(errors="replace")
    if not isinstance(value, str):
        raise TypeError("neither a string nor an object with base64")
    return value
