"""The description of a detector's outputs."""

from __future__ import annotations

from typing import Any

import pytest

from model_catalog.boxes import BoxesSpec, boxes_from_dict
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
