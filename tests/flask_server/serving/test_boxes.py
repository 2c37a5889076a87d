"""The forms in which detectors return their boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flask_server.errors import ServingError
from flask_server.serving.boxes import RawBoxes, boxes_of
from model_catalog.boxes import BoxesSpec
from model_catalog.spec import InputSpec

INPUT = InputSpec(height=50, width=100)
KERAS = BoxesSpec(
    format="xyxy",
    first_class=0,
    boxes="boxes",
    scores="confidence",
    classes="classes",
    count="num_detections",
)


def read(row: Any, spec: BoxesSpec, classes: int = 3) -> RawBoxes:
    outputs = row if isinstance(row, dict) else {"output_0": row}
    return boxes_of(outputs, input_spec=INPUT, spec=spec, classes=classes)


def check(boxes: RawBoxes) -> None:
    """The same object in each of the forms: class 2 of 3."""
    assert boxes.boxes == pytest.approx(np.array([[0.1, 0.2, 0.5, 0.6]]))
    assert boxes.scores == pytest.approx(np.array([0.75]))
    assert boxes.classes.tolist() == [2]


@pytest.mark.parametrize("count", [1, 1.0, [1.0]])
def test_outputs_of_the_object_detection_api(count: Any) -> None:
    row = {
        "detection_boxes": [[0.2, 0.1, 0.6, 0.5], [0, 0, 1, 1]],
        "detection_scores": [0.75, 0.0],
        "detection_classes": [3.0, 1.0],
        "num_detections": count,
        "raw_detection_boxes": [[0, 0, 1, 1]],
    }
    check(read(row, BoxesSpec()))


def test_outputs_of_model_garden_in_pixels() -> None:
    row = {
        "detection_boxes": [[10, 10, 30, 50]],
        "detection_scores": [0.75],
        "detection_classes": [3],
        "num_detections": 1,
        "image_info": [[50, 100], [50, 100], [1, 1], [0, 0]],
    }
    check(read(row, BoxesSpec(format="yxyx")))


def test_outputs_of_keras_hub() -> None:
    row = {
        "boxes": [[10, 10, 50, 30], [-1, -1, -1, -1]],
        "confidence": [0.75, -1],
        "classes": [2, -1],
        "num_detections": 1,
    }
    check(read(row, KERAS))


def test_scores_per_box_and_class() -> None:
    spec = BoxesSpec(boxes="b", scores="s", classes=None, count=None)
    check(read({"b": [[0.2, 0.1, 0.6, 0.5]], "s": [[0.1, 0.2, 0.75]]}, spec))


@pytest.mark.parametrize("name", [None, "output_0"])
def test_one_output_of_yolo_with_boxes_as_columns(name: str | None) -> None:
    spec = BoxesSpec(layout="yolo", format="rel_center_xywh", boxes=name)
    columns = [[0.3, 0.4, 0.4, 0.4, 0.1, 0.2, 0.75], [0.1, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0]]
    first = read(np.array(columns).T.tolist(), spec)
    check(RawBoxes(first.boxes[:1], first.scores[:1], first.classes[:1]))
    assert len(first.boxes) == 2


def test_the_number_of_classes_of_yolo_is_found_without_labels() -> None:
    columns = np.array([[0.3, 0.4, 0.4, 0.4, 0.1, 0.2, 0.75], *[[0.1] * 4 + [0.0] * 3] * 9]).T
    spec = BoxesSpec(layout="yolo", format="rel_center_xywh", boxes=None)
    boxes = read(columns.tolist(), spec, classes=0)
    assert (len(boxes.boxes), boxes.classes[0], boxes.scores[0]) == (10, 2, 0.75)


def test_one_output_of_yolo_with_objectness() -> None:
    spec = BoxesSpec(layout="yolo_objectness", format="center_xywh", boxes=None)
    check(read([[30, 20, 40, 20, 0.75, 0.1, 0.2, 1.0]], spec))


def test_rows_with_score_and_class() -> None:
    spec = BoxesSpec(layout="rows", format="xywh", boxes="o", first_class=0)
    check(read({"o": [[10, 10, 40, 20, 0.75, 2]], "other": 3}, spec))


def test_an_image_without_boxes() -> None:
    for spec in (BoxesSpec(layout="yolo"), BoxesSpec(layout="rows"), BoxesSpec(count=None)):
        row: dict[str, list[Any]] = dict.fromkeys(
            ("detection_boxes", "detection_scores", "detection_classes"), []
        )
        assert len(read(row, spec).boxes) == 0


def test_boxes_that_are_not_finite_are_left_out() -> None:
    row = {"o": [[float("nan"), 0, 1, 1, 0.5, 1], [0, 0, 1, 1, float("inf"), 1]]}
    assert len(read(row, BoxesSpec(layout="rows", boxes="o")).boxes) == 0


@pytest.mark.parametrize(
    "row",
    [
        "text",
        {},
        {"detection_boxes": [[1, 2, 3]]},
        {"detection_boxes": [[1, 2, 3, 4]], "detection_scores": [1]},
        {
            "detection_boxes": [[1, 2, 3, 4]],
            "detection_scores": [1, 2],
            "detection_classes": [1],
            "num_detections": 1,
        },
        {
            "detection_boxes": [[1, 2, 3, 4]],
            "detection_scores": [1],
            "detection_classes": [1],
            "num_detections": [1, 2],
        },
        {"detection_boxes": [[1, 2, 3, 4], [1]]},
        {"detection_boxes": [["a", 2, 3, 4]]},
    ],
)
def test_other_responses_are_errors_of_serving(row: Any) -> None:
    with pytest.raises(ServingError):
        read(row, BoxesSpec())


@pytest.mark.parametrize("layout", ["rows", "yolo", "yolo_objectness"])
@pytest.mark.parametrize("row", [[[1, 2, 3]], [[[[1]]]], "x", {"a": 1, "b": 2}])
def test_other_combined_responses_are_errors_of_serving(layout: str, row: Any) -> None:
    with pytest.raises(ServingError):
        read(row, BoxesSpec(layout=layout, boxes=None))
