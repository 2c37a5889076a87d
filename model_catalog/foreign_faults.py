"""Find what keeps the gateway from using a SavedModel that does not describe itself.

Its signature and the models file tell what it takes and returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model_catalog.fault import Fault
from model_catalog.installation import export_command
from model_catalog.model_entry import ModelEntry
from model_catalog.signatures import Signature, Tensor
from model_catalog.spec import SCORE_TASKS
from model_catalog.top_k import TOP_K_TASKS, Kind, Output, TopK, find_top_k

#: Numbers of TensorFlow's enum DataType.
FLOATS = {1, 2, 14, 19}
_STRING = 7
_KINDS = {
    _STRING: Kind.STRING,
    **dict.fromkeys(FLOATS, Kind.FLOAT),
    **dict.fromkeys((3, 4, 5, 6, 9, 17, 22, 23), Kind.INTEGER),
}
#: Types of tensors that the gateway does not send, by their numbers.
_UNSENT = {5: "int16", 6: "int8", 10: "bool", 14: "bfloat16", 17: "uint16", 19: "float16"}
_CHANNELS = {1, 3, 4}
_SPATIAL = 2
_EXPORT_AGAIN = (
    f"export it with one image input and one output of scores: {export_command()} --model FILE"
)


def foreign_faults(path: Path, entry: ModelEntry, signature: Signature) -> Iterator[Fault]:
    """Find what keeps the gateway from using a SavedModel that does not describe itself."""
    if not signature.inputs:
        return
    images = [tensor for tensor in signature.inputs if tensor.name not in entry.constant_inputs]
    if len(images) != 1:
        names = ", ".join(tensor.name for tensor in signature.inputs)
        fix = f"constant_inputs = {{ NAME = VALUE }} in models.toml, or {_EXPORT_AGAIN}"
        yield _unusable(path, f"has the inputs {names}; the gateway sends one", fix)
        return
    if entry.task not in SCORE_TASKS:  # the gateway tells what the outputs of other tasks lack
        return
    unusable = _unusable_input(images[0])
    if unusable is not None:
        yield _unusable(path, unusable, _EXPORT_AGAIN)
    elif returned_classes(entry, signature) is not None:
        yield from _description_faults(path, entry, images[0], knows_classes=True)
    elif entry.classes is not None:
        fix = 'classes = "NAME" in models.toml, the output with strings or integers'
        yield _unusable(path, f"has no output {entry.classes} with a class per score", fix)
    else:
        yield from _scores_faults(path, entry, images[0], signature)


def _unusable_input(image: Tensor) -> str | None:
    """Return what keeps images from being sent to an input; None if they can be."""
    if image.dtype in _UNSENT:
        return f"takes {_UNSENT[image.dtype]} values, which the gateway does not send"
    if image.shape[:1] not in {(), (None,), (1,)}:
        return f"takes exactly {image.shape[0]} images at a time, by its first dimension"
    return None


def returned_classes(entry: ModelEntry, signature: Signature) -> TopK | None:
    """Return the outputs of a graph that returns its best classes itself, else None."""
    if entry.task not in TOP_K_TASKS:
        return None
    outputs = [
        Output(tensor.name, _KINDS.get(tensor.dtype, Kind.OTHER), tensor.shape or None)
        for tensor in signature.outputs
    ]
    images = [tensor for tensor in signature.inputs if tensor.name not in entry.constant_inputs]
    has_rows = any(tensor.shape for tensor in images)
    return find_top_k(outputs, entry.classes, entry.output, has_rows=has_rows)


def _scores_faults(
    path: Path, entry: ModelEntry, image: Tensor, signature: Signature
) -> Iterator[Fault]:
    """Find what keeps the gateway from reading the scores, or from preparing images."""
    classes = len(entry.labels) if entry.labels else None
    scores = [
        tensor
        for tensor in signature.outputs
        if (tensor.dtype in FLOATS if entry.output is None else tensor.name == entry.output)
    ]
    if len(scores) > 1:
        scores = [tensor for tensor in scores if tensor.shape[-1:] == (classes,)]
    if len(scores) != 1:
        names = ", ".join(tensor.name for tensor in signature.outputs) or "none"
        needed = "one with float32 scores, of as many values as there are labels, is needed"
        fix = f'output = "NAME" in models.toml, or {_EXPORT_AGAIN}'
        yield _unusable(path, f"has the outputs {names}; {needed}", fix)
        return
    knows_classes = entry.labels is not None or scores[0].shape[-1:] not in {(), (None,)}
    yield from _description_faults(path, entry, image, knows_classes=knows_classes)


def _description_faults(
    path: Path, entry: ModelEntry, image: Tensor, *, knows_classes: bool
) -> Iterator[Fault]:
    """Find what the models file has to say of a SavedModel that does not describe itself."""
    is_told = entry.input is not None or image.dtype == _STRING
    missing = [] if is_told else ["input = { scale = … }"]
    if not knows_classes:
        missing.append('labels = "FILE"')
    if entry.input is not None and not _size_is_known(image, entry.input):
        missing.append("height and width in input")
    if missing:
        fix = f"{' and '.join(missing)} under [models.{entry.name}] in models.toml"
        yield _unusable(path, "has no model spec, and models.toml does not describe it either", fix)


def _size_is_known(tensor: Tensor, told: Mapping[str, Any]) -> bool:
    """Tell whether the signature or the models file has the size of the images."""
    if {"height", "width"} <= set(told) or tensor.dtype == _STRING:
        return True
    known = [size for size in tensor.shape[1:] if size is not None and size not in _CHANNELS]
    return len(known) >= _SPATIAL


def _unusable(path: Path, what: str, fix: str) -> Fault:
    return Fault(f"{path} {what}, so the gateway cannot use it", fix)
