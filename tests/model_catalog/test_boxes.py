"""The description of a detector's outputs."""

from __future__ import annotations

from typing import Any

import pytest

from model_catalog.boxes import BoxesSpec, boxes_from_dict, declared_boxes
from model_catalog.errors import SpecError


def test_a_description_is_read_as_it_is_written() -> None:
    spec = BoxesSpec(format="xywh", layout="yolo", nms_iou=0.6, boxes=None, classes=None)
    assert boxes_from_dict(spec.to_dict()) == spec
    assert boxes_from_dict({}) == BoxesSpec()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "boxes"),
        ({"formt": "xyxy"}, "boxes.formt"),
        ({"format": "xxyy"}, "boxes.format"),
        ({"layout": "columns"}, "boxes.layout"),
        ({"first_class": 2}, "boxes.first_class"),
        ({"first_class": True}, "boxes.first_class"),
        ({"threshold": 1.5}, "boxes.threshold"),
        ({"nms_iou": "0.5"}, "boxes.nms_iou"),
        ({"scores": None}, "boxes.scores"),
        ({"classes": ""}, "boxes.classes"),
        ({"boxes": None}, "boxes.boxes"),
    ],
)
def test_errors_name_the_field(document: Any, field: str) -> None:
    with pytest.raises(SpecError, match=rf"^{field}: "):
        boxes_from_dict(document)


TFOD = dict.fromkeys(
    ("detection_boxes", "detection_scores", "detection_classes", "num_detections", "raw_scores"),
    (1, 100),
)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (TFOD, BoxesSpec()),
        (TFOD | {"image_info": (1, 4, 2)}, BoxesSpec(format="yxyx")),
        (
            {"detection_boxes": (1, 9, 4), "detection_scores": (1, 9, 3)},
            BoxesSpec(classes=None, count=None),
        ),
        (
            dict.fromkeys(("boxes", "confidence", "classes", "num_detections"), (-1, 100)),
            BoxesSpec(
                format="xyxy",
                first_class=0,
                boxes="boxes",
                scores="confidence",
                classes="classes",
            ),
        ),
        (
            {"output_0": (1, 84, 8400)},
            BoxesSpec(
                layout="yolo", format="rel_center_xywh", first_class=0, boxes=None, nms_iou=0.45
            ),
        ),
        (
            {"output_0": (1, 300, 6)},
            BoxesSpec(layout="rows", format="rel_xyxy", first_class=0, boxes=None),
        ),
    ],
)
def test_outputs_of_known_detectors_are_recognised(outputs: Any, expected: BoxesSpec) -> None:
    assert declared_boxes(outputs) == expected


def test_stated_fields_take_precedence() -> None:
    assert declared_boxes(TFOD, {"format": "xywh", "threshold": 0.2}) == BoxesSpec(
        format="xywh", threshold=0.2
    )
    stated = {"boxes": "where", "scores": "how", "classes": None, "count": None}
    assert declared_boxes({"where": (), "how": (), "x": ()}, stated).boxes == "where"


def test_unknown_outputs_are_refused() -> None:
    with pytest.raises(SpecError, match=r"boxes\.layout"):
        declared_boxes({"a": (1, 2), "b": (1, 2)})
