"""Choose the detections of an image among the boxes of a model. Pure.

Boxes come as shares of the model's input and leave as whole pixels of the upright original image:
resizing, padding and cropping are undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flask_server.errors import InvalidParameter
from flask_server.imaging.geometry import Box, FloatBox, Size, exact_seen_box
from flask_server.inference.ranking import RankingOptions, class_indices
from flask_server.serving.boxes import Floats, RawBoxes
from model_catalog.boxes import BoxesSpec
from model_catalog.spec import InputSpec, Label

Indices = NDArray[np.intp]

#: Maximum number of detections per image, and of its best boxes that are looked at.
MAX_DETECTIONS = 1000
MAX_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in an image."""

    class_id: str
    label: str
    score: float

    box: Box
    """Whole pixels of the upright original; right and bottom are just outside."""


@dataclass(frozen=True, slots=True)
class DetectionChoice:
    """Options of a request, checked and resolved to the labels of a model."""

    top_k: int
    threshold: float

    classes: frozenset[int] | None
    """Indices of the labels that are asked for; None means all."""


def resolve(options: RankingOptions, labels: Sequence[Label], spec: BoxesSpec) -> DetectionChoice:
    """Return the options with this model's threshold and labels, or raise InvalidParameter."""
    top_k = MAX_DETECTIONS if options.top_k is None else options.top_k
    if not 1 <= top_k <= MAX_DETECTIONS:
        raise InvalidParameter(f"top_k is {top_k}; allowed is 1 to {MAX_DETECTIONS}.")
    threshold = spec.threshold if options.threshold is None else options.threshold
    wanted = options.labels
    classes = None if wanted is None else frozenset(class_indices(wanted, labels))
    return DetectionChoice(top_k, threshold, classes)


def detections(
    raw: RawBoxes,
    *,
    size: Size,
    input_spec: InputSpec | None,
    spec: BoxesSpec,
    labels: Sequence[Label],
    choice: DetectionChoice,
) -> list[Detection]:
    """Return the chosen detections of an upright image of this size, best first.

    Without ``input_spec`` the model sees the whole image in its own size.
    Boxes with an unknown class or outside of the image are left out. A model without labels has
    the numbers of its classes instead.
    """
    # Models compute in float32, in which 0.9 is less than the 0.9 of a request.
    above = raw.scores.astype(np.float32) >= np.float32(choice.threshold)
    wanted = above & (raw.classes >= 0)
    if labels:
        wanted &= raw.classes < len(labels)
    if choice.classes is not None:
        wanted &= np.isin(raw.classes, sorted(choice.classes))
    left, top, right, bottom = raw.boxes.T
    wanted &= (right > left) & (bottom > top)
    order = _best_first(np.flatnonzero(wanted), raw.scores)[:MAX_LOOKED_AT]
    if spec.nms_iou is not None:
        order = suppressed(raw, order, spec.nms_iou)
    seen = exact_seen_box(size, input_spec) if input_spec else (0, 0, *size)
    found: list[Detection] = []
    for index in order.tolist():
        box = _in_pixels(raw.boxes[index], size, seen)
        if box is not None:
            number = int(raw.classes[index])
            class_id, label = labels[number] if labels else (str(number + spec.first_class),) * 2
            found.append(Detection(class_id, label, _short(raw.scores[index]), box))
        if len(found) == choice.top_k:
            break
    return found


def _short(score: float) -> float:
    """Return the score with the digits of float32, such as 0.9 instead of 0.8999999762."""
    return float(str(np.float32(score)))


def _best_first(indices: Indices, scores: Floats) -> Indices:
    """Return the indices by descending score; equal scores keep their order."""
    return indices[np.argsort(-scores[indices], kind="stable")]


def suppressed(raw: RawBoxes, order: Indices, max_iou: float) -> Indices:
    """Return the boxes that overlap no better one of their class by more than ``max_iou``.

    ``order`` has the indices of the boxes, best first (non-maximum suppression).
    """
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        rivals = raw.classes[rest] == raw.classes[best]
        order = rest[~(rivals & (_ious(raw.boxes[best], raw.boxes[rest]) > max_iou))]
    return np.array(kept, np.intp)


def _ious(box: Floats, others: Floats) -> Floats:
    """Return intersection over union of a box with each other box."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(shared / np.maximum(area - shared, np.finfo(np.float64).tiny))


def _in_pixels(box: Floats, size: Size, seen: FloatBox) -> Box | None:
    """Return the part of the box inside the image, None if there is none."""
    seen_left, seen_top, seen_right, seen_bottom = seen
    scale = np.array([seen_right - seen_left, seen_bottom - seen_top] * 2)
    exact = np.array([seen_left, seen_top] * 2) + box * scale
    width, height = size
    left, top, right, bottom = np.clip(exact, 0, [width, height, width, height]).tolist()
    if right <= left or bottom <= top:
        return None
    xmin, xmax = _whole(left, right, width)
    ymin, ymax = _whole(top, bottom, height)
    return xmin, ymin, xmax, ymax


def _whole(low: float, high: float, length: int) -> tuple[int, int]:
    """Return the nearest whole pixels, at least one apart."""
    start = min(round(low), length - 1)
    return start, max(round(high), start + 1)
