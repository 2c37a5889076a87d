"""The description of a detector's outputs: where boxes, scores and classes are, and in which form.

Four layouts are known. ``separate`` has one output for boxes, one for scores and perhaps one for
classes, as the TF Object Detection API, Model Garden and KerasHub export them. The others have one
output for everything, as YOLO exports have: ``rows`` of box, score and class; ``yolo``, a box and a
score per class; ``yolo_objectness``, the same with the score of any object after the box.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from model_catalog.errors import SpecError

LAYOUTS = ("separate", "rows", "yolo", "yolo_objectness")

#: Keras's names of box formats: y before x or x before y, two corners, a corner and a size, or the
#: centre and a size. With ``rel_`` the numbers are shares of the input's sides, else its pixels.
_CORNERS = ("yxyx", "xyxy", "xywh", "center_xywh")
BOX_FORMATS = (*(f"rel_{name}" for name in _CORNERS), *_CORNERS)

#: The names of the TF Object Detection API.
BOXES, SCORES = "detection_boxes", "detection_scores"
CLASSES, COUNT = "detection_classes", "num_detections"


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxesSpec:
    """How the boxes of a detector are read and chosen."""

    format: str = "rel_yxyx"
    """Meaning of the four numbers of a box, one of ``BOX_FORMATS``."""

    layout: str = "separate"
    """Arrangement of the outputs, one of ``LAYOUTS``."""

    first_class: int = 1
    """The number that the model gives to the first label."""

    threshold: float = 0.5
    """Minimum score of a detection for requests that give none."""

    nms_iou: float | None = None
    """Of two boxes of a class that overlap by more than this share (intersection over union), only
    the one with the higher score is kept; None if the model has done so."""

    boxes: str | None = BOXES
    """Name of the output with the boxes, or with everything; None for the signature's only one."""

    scores: str = SCORES
    """Name of the output with a score per box, or with a score per box and class."""

    classes: str | None = CLASSES
    """Name of the output with a class per box; None if the scores are per box and class."""

    count: str | None = COUNT
    """Name of the output with the number of valid boxes; None if all are."""

    def __post_init__(self) -> None:
        _one_of("format", self.format, BOX_FORMATS)
        _one_of("layout", self.layout, LAYOUTS)
        if type(self.first_class) is not int or self.first_class not in (0, 1):
            raise SpecError("boxes.first_class", self.first_class, "0 or 1")
        _share("threshold", self.threshold)
        if self.nms_iou is not None:
            _share("nms_iou", self.nms_iou)
        for name in ("boxes", "scores", "classes", "count"):
            _name(name, getattr(self, name), may_be_none=name != "scores")
        if self.boxes is None and self.layout == "separate":
            raise SpecError("boxes.boxes", None, "the name of an output, with layout separate")

    @property
    def is_relative(self) -> bool:
        """Whether the numbers of boxes are shares of the input's sides."""
        return self.format.startswith("rel_")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return dataclasses.asdict(self)


def boxes_from_dict(document: object) -> BoxesSpec:
    """Build a BoxesSpec from JSON or TOML values, or raise SpecError."""
    if not isinstance(document, Mapping):
        raise SpecError("boxes", document, "an object")
    known = [field.name for field in dataclasses.fields(BoxesSpec)]
    for key in document:
        if key not in known:
            raise SpecError(f"boxes.{key}", document[key], f"one of the keys {', '.join(known)}")
    return BoxesSpec(**document)


def declared_boxes(
    outputs: Mapping[str, tuple[int, ...]], stated: Mapping[str, Any] = MappingProxyType({})
) -> BoxesSpec:
    """Return the description of a signature's outputs, by their names and shapes.

    Fields in ``stated`` take precedence. Raises SpecError for outputs of no known detector where
    the stated fields do not name them.
    """
    found = next(filter(None, (family(outputs) for family in _FAMILIES)), None)
    if found is None and not {"boxes", "layout"} & set(stated):
        names = ", ".join(outputs) or "none"
        raise SpecError(
            "boxes",
            names,
            "outputs as the TF Object Detection API, KerasHub or YOLO name them; for others, "
            "boxes.layout, boxes.boxes and boxes.scores",
        )
    return boxes_from_dict((found or {}) | dict(stated))


def _object_detection_api(outputs: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Also Model Garden, whose boxes are in pixels and which adds ``image_info``."""
    if not {BOXES, SCORES} <= set(outputs):
        return None
    return {
        "format": "yxyx" if "image_info" in outputs else "rel_yxyx",
        "classes": CLASSES if CLASSES in outputs else None,
        "count": COUNT if COUNT in outputs else None,
    }


def _keras_hub(outputs: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    scores = next((name for name in ("confidence", "scores") if name in outputs), None)
    if "boxes" not in outputs or scores is None:
        return None
    return {
        "format": "xyxy",
        "first_class": 0,
        "boxes": "boxes",
        "scores": scores,
        "classes": next((name for name in ("classes", "labels") if name in outputs), None),
        "count": COUNT if COUNT in outputs else None,
    }


def _yolo(outputs: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """The only output of an export: six columns are box, score and class."""
    shapes = list(outputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return None
    if shapes[0][2] == 6:
        return {"layout": "rows", "format": "rel_xyxy", "first_class": 0, "boxes": None}
    combined = {"layout": "yolo", "format": "rel_center_xywh", "first_class": 0, "boxes": None}
    return combined | {"nms_iou": 0.45}


_FAMILIES = (_object_detection_api, _keras_hub, _yolo)


def _one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"boxes.{field}", value, f"one of {', '.join(allowed)}")


def _share(field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise SpecError(f"boxes.{field}", value, "a number from 0 to 1")


def _name(field: str, value: object, *, may_be_none: bool) -> None:
    if value is None and may_be_none:
        return
    if not isinstance(value, str) or not value:
        raise SpecError(f"boxes.{field}", value, "the name of an output")
