"""Read the boxes in the outputs of a detector, whatever form its export has. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import ServingError
from flask_server.imaging.orientation import turned_shares
from flask_server.serving.outputs import Outputs
from model_catalog.boxes import BoxesSpec
from model_catalog.spec import InputSpec

Floats = NDArray[np.float64]

#: Maximum number of boxes per image that are looked at; large YOLO models have 25,200.
MAX_BOXES = 200_000


@dataclass(frozen=True, slots=True)
class RawBoxes:
    """The boxes of one image as a model returns them, in their order."""

    boxes: Floats
    """Shape (N, 4): left, top, right, bottom as shares of the model's input, not clipped."""

    scores: Floats
    """Shape (N,)."""

    classes: NDArray[np.intp]
    """Shape (N,): indices of labels, which may lie outside of their list."""

    def turned(self, orientation: int) -> RawBoxes:
        """Return the boxes of an image that the model saw as stored, for the upright image."""
        return replace(self, boxes=turned_shares(self.boxes, orientation))


def boxes_of(
    outputs: Outputs, *, input_spec: InputSpec | None, spec: BoxesSpec, classes: int
) -> RawBoxes:
    """Return the boxes in the outputs for one image, or raise ServingError.

    ``input_spec`` is None for a model whose boxes are shares of its input. ``classes`` is the
    number of labels, by which the axis of the classes is found; 0 for none.
    """
    if spec.layout == "separate":
        boxes, scores, numbers = _separate(outputs, spec)
    else:
        boxes, scores, numbers = _combined(outputs, spec, classes)
    # Values that are not finite are no boxes.
    fine = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & np.isfinite(numbers)
    boxes, scores, numbers = boxes[fine], scores[fine], numbers[fine]
    corners = _corners(boxes, spec.format)
    if input_spec is not None and not spec.is_relative:
        width, height = input_spec.width, input_spec.height
        corners = corners / np.array([width, height, width, height], np.float64)
    indices = np.clip(np.round(numbers), -1, 2**31).astype(np.intp)
    return RawBoxes(corners, scores, indices)


def _separate(outputs: Outputs, spec: BoxesSpec) -> tuple[Floats, Floats, Floats]:
    """Return boxes, scores and indices of labels from outputs of their own."""
    boxes = _table(_output(outputs, spec.boxes), spec.boxes)
    if boxes.shape[1] != 4:
        raise ServingError(f"The output {spec.boxes} has {boxes.shape[1]} numbers per box, not 4.")
    scores = _numbers(_output(outputs, spec.scores), spec.scores)
    if spec.classes is None:
        scores, numbers = _best_class(scores if scores.ndim == 2 else scores.reshape(-1, 1))
    else:
        numbers = _numbers(_output(outputs, spec.classes), spec.classes) - spec.first_class
    number = len(boxes)
    if scores.shape != (number,) or numbers.shape != (number,):
        raise ServingError(
            f"The model returned {number} boxes with scores of shape {scores.shape} and classes of"
            f" shape {numbers.shape}; needed is one of each per box."
        )
    valid = number if spec.count is None else _valid(_output(outputs, spec.count), number)
    return boxes[:valid], scores[:valid], numbers[:valid]


def _valid(value: object, most: int) -> int:
    """Return the number of valid boxes, which some exports send as a float or as a list of one."""
    numbers = _numbers(value, "count").reshape(-1)
    if numbers.size != 1 or not np.isfinite(numbers[0]):
        raise ServingError("The model's number of detections is not one number.")
    return int(min(max(round(float(numbers[0])), 0), most))


def _combined(outputs: Outputs, spec: BoxesSpec, classes: int) -> tuple[Floats, Floats, Floats]:
    """Return boxes, scores and indices of labels from one output with everything."""
    table = _table(_output(outputs, spec.boxes), spec.boxes)
    if not table.size:
        return table, np.empty(0), np.empty(0)
    # Without labels the number of classes is open; there are more boxes than classes.
    least = 1 if spec.layout == "yolo" else 2
    extra = {"rows": 2, "yolo": classes, "yolo_objectness": classes + 1}[spec.layout]
    if spec.layout != "rows" and not classes:
        extra = max(min(table.shape) - 4, least)
    if table.shape[1] != 4 + extra and table.shape[0] == 4 + extra:
        table = table.T
    if table.shape[1] != 4 + extra:
        raise ServingError(
            f"The model returned boxes of shape {table.shape}; with layout {spec.layout} and"
            f" {classes} labels, one side must be {4 + extra}."
        )
    boxes, values = table[:, :4], table[:, 4:]
    if spec.layout == "rows":
        return boxes, values[:, 0], values[:, 1] - spec.first_class
    if spec.layout == "yolo_objectness":
        values = values[:, :1] * values[:, 1:]
    return boxes, *_best_class(values)


def _best_class(scores: Floats) -> tuple[Floats, Floats]:
    """Return the highest score of each row, and the index of its class."""
    if scores.shape[1] == 0:
        raise ServingError("The model returned no score for any class.")
    best = scores.argmax(axis=1)
    return np.take_along_axis(scores, best[:, np.newaxis], axis=1)[:, 0], best.astype(np.float64)


def _output(outputs: Outputs, name: str | None) -> object:
    """Return the output of this name, or the only one."""
    if name is None and len(outputs) == 1:
        return next(iter(outputs.values()))
    if name is None or name not in outputs:
        wanted = "exactly one output" if name is None else f"an output {name}"
        raise ServingError(f"The model has the outputs {', '.join(outputs)}; needed is {wanted}.")
    return outputs[name]


def _table(value: object, name: str | None) -> Floats:
    """Return rows of numbers, at most ``MAX_BOXES``; an empty list has no boxes."""
    table = _numbers(value, name)
    if table.size == 0:
        return np.empty((0, 4))
    if table.ndim == 3 and table.shape[0] == 1:
        table = table[0]
    if table.ndim != 2 or max(table.shape) > MAX_BOXES:
        raise ServingError(f"The model returned boxes of shape {table.shape}; needed are rows.")
    return table


def _numbers(value: object, name: str | None) -> Floats:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        output = "only output" if name is None else f"output {name}"
        raise ServingError(f"The {output} of the model does not consist of numbers.") from error


def _corners(boxes: Floats, box_format: str) -> Floats:
    """Return left, top, right, bottom of boxes in any of the formats."""
    first, second, third, fourth = (boxes[:, column] for column in range(4))
    corners: dict[str, tuple[Any, ...]] = {
        "yxyx": (second, first, fourth, third),
        "xyxy": (first, second, third, fourth),
        "xywh": (first, second, first + third, second + fourth),
        "center_xywh": (
            first - third / 2,
            second - fourth / 2,
            first + third / 2,
            second + fourth / 2,
        ),
    }
    return np.stack(corners[box_format.removeprefix("rel_")], axis=1)
