"""The spec of a version.

Our exports carry it. For other SavedModels it is built from the signature and the models file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_server.errors import ServingError
from flask_server.serving.signatures import (
    STRING,
    ForeignCall,
    ScoresOutput,
    Signatures,
    TensorInfo,
    declared_input,
    image_input,
    outputs_of,
    scores_output,
)
from model_catalog.boxes import BoxesSpec, declared_boxes
from model_catalog.errors import SpecError
from model_catalog.labels import labels_for, numbered_labels, score_counts
from model_catalog.model_entry import ModelEntry
from model_catalog.spec import (
    TENSOR_TASKS,
    Label,
    ModelSpec,
    OutputSpec,
    input_from_dict,
)

#: Dimensions of the output of a segmentation, [N, height, width, classes].
_MAP_RANK = 4

#: Where the number of scores comes from.
_DECLARED = "whose signature declares"
PROBED = "which returns for a black image"


def spec_of_export(name: str, rows: object) -> ModelSpec:
    """Parse the response of the ``describe`` signature."""
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], str):
        raise ServingError(f"The describe signature of model {name} did not return one string.")
    try:
        return ModelSpec.from_json(rows[0])
    except SpecError as error:
        raise ServingError(
            f"The spec in the SavedModel of model {name} is invalid: {error}"
        ) from error


def foreign_scores_output(entry: ModelEntry, signatures: Signatures) -> ScoresOutput:
    """Return the output with the scores of a classifier that is no export of ours."""
    call = ForeignCall.of(entry)
    image_input(signatures, call)  # so that its errors are raised first
    return scores_output(signatures, score_counts(entry.labels) if entry.labels else (), call)


def spec_of_foreign(
    entry: ModelEntry,
    signatures: Signatures,
    labels: tuple[Label, ...] | None,
    top_k: int | None = None,
) -> ModelSpec:
    """Return the spec; the models file overrules the signature.

    ``top_k`` is the number of classes that the graph returns, if it chooses the best itself.
    """
    tensor = image_input(signatures, ForeignCall.of(entry))
    if labels is not None and _takes_files(tensor, entry):
        return _spec(entry, None, labels, top_k=top_k)
    if labels is None or entry.input is None:
        missing = "input" if entry.input is None else "labels"
        raise ServingError(
            f"The SavedModel of model {entry.name} has no spec, and the models file does not set "
            f"its {missing}. Needed are input = {{ scale = … }} and, unless the signature declares "
            "the number of classes, labels."
        )
    fields = declared_input(tensor, entry.input)
    missing = " and ".join(f"input.{side}" for side in ("height", "width") if side not in fields)
    if missing:
        raise ServingError(
            f"The model's input {tensor} does not declare the size of an image; the models file"
            f" needs {missing} for model {entry.name}."
        )
    return _spec(entry, fields, labels, top_k=top_k)


def spec_of_task(entry: ModelEntry, signatures: Signatures) -> ModelSpec:
    """Return the spec of a model that is no classifier.

    Without ``input`` in the models file, a model that returns tensors or embeddings takes tensors
    only. Labels are not checked against the outputs, whose meaning the task knows.
    """
    tensor = image_input(signatures, ForeignCall.of(entry))
    stated = entry.input or {}
    if entry.task == "detection":
        return _spec_of_detector(entry, signatures, tensor)
    is_open = entry.input is None and entry.task in TENSOR_TASKS
    if is_open or _takes_files(tensor, entry):
        return _spec(entry, None, entry.labels or _numbered_classes(entry, signatures))
    fields = declared_input(tensor, stated)
    return _spec(entry, fields, entry.labels or _numbered_classes(entry, signatures))


def _takes_files(tensor: TensorInfo, entry: ModelEntry) -> bool:
    """Tell whether an input of strings gets image files as they are: no size says otherwise."""
    return tensor.dtype == STRING and not {"height", "width"} & set(entry.input or {})


def task_output(entry: ModelEntry, signatures: Signatures) -> ScoresOutput:
    """Return the output that the models file names, if it names one; or raise ServingError."""
    names = [tensor.name for tensor in outputs_of(signatures, entry.signature)]
    if entry.output is not None and entry.output not in names:
        raise ServingError(
            f"The {entry.signature} signature has the outputs {', '.join(names)}; the models file"
            f" names {entry.output}."
        )
    return ScoresOutput(entry.output, None)


def _spec_of_detector(entry: ModelEntry, signatures: Signatures, tensor: TensorInfo) -> ModelSpec:
    """Return the spec of a detector, whose outputs are recognised by name and shape.

    Boxes in pixels count those of an input, whose size has to be known; shares need no size.
    """
    shapes = {tensor.name: tensor.shape for tensor in outputs_of(signatures, entry.signature)}
    try:
        boxes = declared_boxes(shapes, entry.boxes or {})
    except SpecError as error:
        raise ServingError(f"The outputs of model {entry.name} are not known: {error}") from error
    if boxes.is_relative and _takes_files(tensor, entry):
        return _spec(entry, None, entry.labels or (), boxes)
    # Detectors keep the aspect ratio; all but those of the YOLO family scale pixels themselves.
    defaults = {"fit": "pad", "scale": "none" if boxes.layout == "separate" else "unit"}
    fields = defaults | declared_input(tensor, entry.input or {})
    return _spec(entry, fields, entry.labels or (), boxes)


def _numbered_classes(entry: ModelEntry, signatures: Signatures) -> tuple[Label, ...]:
    """Return numbers as labels for the classes that a segmentation declares, else none."""
    outputs = outputs_of(signatures, entry.signature)
    shapes = [tensor.shape for tensor in outputs if len(tensor.shape) == _MAP_RANK]
    if entry.task != "segmentation" or not shapes or shapes[0][-1] < 1:
        return ()
    return numbered_labels(max(shapes[0][-1], 2))


def _spec(
    entry: ModelEntry,
    fields: Mapping[str, Any] | None,
    labels: tuple[Label, ...],
    boxes: BoxesSpec | None = None,
    top_k: int | None = None,
) -> ModelSpec:
    try:
        return ModelSpec(
            name=entry.name,
            task=entry.task,
            input=None if fields is None else input_from_dict(fields),
            output=OutputSpec(classes=len(labels), activation=entry.activation, top_k=top_k),
            labels=labels,
            boxes=boxes,
        )
    except SpecError as error:
        raise ServingError(f"The spec of model {entry.name} is invalid: {error}") from error


def fitting_labels(
    entry: ModelEntry, scores: int | None, source: str = _DECLARED
) -> tuple[Label, ...] | None:
    """Return the labels that fit the number of scores, or None if neither is known.

    ``source`` tells where the number comes from.
    """
    if entry.labels is None:
        return None if scores is None else numbered_labels(scores)
    if scores is None:
        return entry.labels
    if scores not in score_counts(entry.labels):
        raise ServingError(_other_labels(entry.name, len(entry.labels), scores, source))
    return labels_for(entry.labels, scores)


def _other_labels(name: str, labels: int, scores: int, source: str) -> str:
    """Return the text that tells how many labels the scores need."""
    listed = "1 label" if labels == 1 else f"{labels} labels"
    declared = "1 score" if scores == 1 else f"{scores} scores"
    text = f"The models file has {listed} for model {name}, {source} {declared}."
    if scores == 1:
        return f"{text} A single score needs its label, or two labels of which it is the second's."
    if scores == labels + 1:
        return f"{text} If the first score is for the background, it needs a label as well."
    return f"{text} Both numbers must be the same."
