"""Which boxes become detections, and where they lie in the original image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from flask_server.errors import InvalidParameter
from flask_server.imaging.geometry import Size
from flask_server.imaging.preprocessing import to_pixels
from flask_server.inference.detection import Detection, detections, resolve
from flask_server.inference.ranking import RankingOptions
from flask_server.serving.boxes import RawBoxes
from model_catalog.boxes import BoxesSpec
from model_catalog.spec import InputSpec

LABELS = (("1", "cat"), ("2", "dog"), ("3", "bird"))
INPUT = InputSpec(height=100, width=100)


def raw(*boxes: tuple[list[float], float, int]) -> RawBoxes:
    return RawBoxes(
        np.array([box for box, _, _ in boxes], np.float64).reshape(-1, 4),
        np.array([score for _, score, _ in boxes], np.float64),
        np.array([number for _, _, number in boxes], np.intp),
    )


def found(
    boxes: RawBoxes, size: Size = (100, 100), spec: InputSpec = INPUT, **options: Any
) -> list[Detection]:
    boxes_spec = BoxesSpec(nms_iou=options.pop("nms_iou", None))
    choice = resolve(RankingOptions(**options), LABELS, boxes_spec)
    return detections(
        boxes, size=size, input_spec=spec, spec=boxes_spec, labels=LABELS, choice=choice
    )


def labels(result: list[Detection]) -> list[str]:
    return [one.label for one in result]


def test_detections_come_best_first_above_the_threshold() -> None:
    boxes = raw(([0, 0, 0.5, 0.5], 0.6, 0), ([0, 0, 1, 1], 0.9, 1), ([0, 0, 1, 1], 0.4, 2))
    assert labels(found(boxes)) == ["dog", "cat"]
    assert labels(found(boxes, threshold=0.0)) == ["dog", "cat", "bird"]
    assert labels(found(boxes, top_k=1)) == ["dog"]
    assert labels(found(boxes, labels=["cat", "3"], threshold=0.1)) == ["cat", "bird"]


def test_scores_have_the_digits_of_the_model() -> None:
    boxes = raw(([0, 0, 1, 1], float(np.float32(0.9)), 0))
    assert [one.score for one in found(boxes, threshold=0.9)] == [0.9]
    assert found(boxes, threshold=0.9001) == []


@pytest.mark.parametrize("options", [{"labels": ["cow"]}, {"top_k": 1001}])
def test_options_that_no_detector_has_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        found(raw(), **options)


def test_unknown_classes_and_empty_boxes_are_left_out() -> None:
    boxes = raw(
        ([0, 0, 1, 1], 0.9, 3),
        ([0, 0, 1, 1], 0.9, -1),
        ([0.5, 0, 0.5, 1], 0.9, 0),
        ([1.2, 0, 1.4, 1], 0.9, 0),
    )
    assert found(boxes) == []


def test_a_model_without_labels_has_the_numbers_of_its_classes() -> None:
    spec = BoxesSpec(first_class=1)
    (detection,) = detections(
        raw(([0, 0, 1, 1], 0.9, 16)),
        size=(10, 10),
        input_spec=INPUT,
        spec=spec,
        labels=(),
        choice=resolve(RankingOptions(), (), spec),
    )
    assert (detection.class_id, detection.label) == ("17", "17")


def test_overlapping_boxes_of_one_class_are_suppressed() -> None:
    boxes = raw(
        ([0.0, 0, 0.5, 0.5], 0.8, 0),
        ([0.02, 0, 0.5, 0.5], 0.9, 0),
        ([0.0, 0, 0.5, 0.5], 0.7, 1),
        ([0.6, 0, 1.0, 0.5], 0.6, 0),
    )
    assert [one.score for one in found(boxes, nms_iou=0.5)] == [0.9, 0.7, 0.6]
    assert len(found(boxes)) == 4


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(640, 480), (300, 700), (97, 31), (20, 20)])
def test_boxes_lie_where_the_object_is_in_the_original(fit: str, size: Size) -> None:
    """An object is drawn, preprocessed as for the model, found there and mapped back."""
    width, height = size
    box = (width * 4 // 10, height * 4 // 10, width * 6 // 10, height * 6 // 10)
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((*box[:2], box[2] - 1, box[3] - 1), fill="white")
    spec = InputSpec(height=120, width=200, fit=fit, interpolation="nearest")
    rows, columns = np.nonzero(to_pixels(image, spec)[..., 0] > 127)
    seen = [
        columns.min() / 200,
        rows.min() / 120,
        (columns.max() + 1) / 200,
        (rows.max() + 1) / 120,
    ]
    (detection,) = found(raw((seen, 0.9, 0)), size, spec)
    tolerance = max(2, width / 200 + 1, height / 120 + 1)
    assert np.abs(np.array(detection.box) - np.array(box)).max() <= tolerance


def test_of_very_many_boxes_only_the_best_are_looked_at() -> None:
    count = 100_000
    boxes = RawBoxes(
        np.tile([2.0, 2.0, 3.0, 3.0], (count, 1)), np.ones(count), np.zeros(count, int)
    )
    assert found(boxes) == []
    boxes.boxes[:] = [0, 0, 1, 1]
    assert len(found(boxes)) == 1000
    assert len(found(boxes, nms_iou=0.5)) == 1


def test_boxes_are_whole_pixels_within_the_image() -> None:
    (whole,) = found(raw(([-0.5, -0.1, 1.5, 3.0], 0.9, 0)), (31, 17))
    assert whole.box == (0, 0, 31, 17)
    (thin,) = found(raw(([0.999, 0.999, 0.9999, 0.9999], 0.9, 0)), (31, 17))
    assert thin.box == (30, 16, 31, 17)
    assert all(type(side) is int for side in thin.box)
