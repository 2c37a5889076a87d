"""Detectors of every form are exported with one form of input and output."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flask_server.imaging.preprocessing import to_pixels
from model_catalog.boxes import BoxesSpec
from model_catalog.spec import SPEC_FILE, InputSpec, ModelSpec
from scripts import export_detector
from scripts.errors import ScriptError
from scripts.warmup_requests import WARMUP_FILE
from tests import detectors
from tests.docs.shell_blocks import arguments
from tests.scripts.test_saved_model import Session

pytestmark = pytest.mark.tensorflow

#: Options that each form needs beside the common ones.
OPTIONS = {
    "uint8": ["--size", "64x64"],
    "string": ["--size", "64x64"],
    "keras": ["--scale", "unit"],
    "yolo": ["--scale", "unit"],
}


@pytest.fixture(scope="module")
def models(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("detectors")
    detectors.write_all(root)
    (root / "labels.pbtxt").write_text(detectors.LABEL_MAP, encoding="utf-8")
    return root


def export(models: Path, form: str, base_path: Path, *further: str) -> Path:
    common = ["--model", str(models / form / "1"), "--labels", str(models / "labels.pbtxt")]
    given = [*common, "--base-path", str(base_path), *OPTIONS[form], *further]
    return export_detector.export_detector(export_detector.parser().parse_args(given))


def test_the_command_of_the_manual_does_it(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.toml").touch()
    shutil.copytree(models / "uint8" / "1", "ssd/saved_model")
    shutil.copy(models / "labels.pbtxt", "coco.pbtxt")
    (command,) = arguments("docs/detection.md", "export_detector.py")

    assert export_detector.main(command) == 0

    assert Path("detector/1/saved_model.pb").is_file()
    assert "[models.detector]" in Path("models.toml").read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=list(OPTIONS))
def version(request: Any, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(models, request.param, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def session(version: Path) -> Iterator[Session]:
    session = Session(version)
    yield session
    session.session.close()


def answer(session: Session, signature: str, values: Any) -> dict[str, Any]:
    graph = session.signatures[signature]
    (tensor,) = graph.inputs.values()
    names = {key: output.name for key, output in graph.outputs.items()}
    return dict(session.session.run(names, {tensor.name: values}))


def view() -> np.ndarray[Any, Any]:
    return to_pixels(detectors.photo(), InputSpec(height=64, width=64, fit="pad"))


def check(found: dict[str, Any], row: int) -> None:
    """Red and blue are there, as shares of a square with the picture in its middle."""
    assert found["num_detections"][row] == 2
    order = np.argsort(found["detection_classes"][row][:2])
    assert found["detection_classes"][row][order].tolist() == [1, 3]
    red, blue = found["detection_boxes"][row][order]
    assert red == pytest.approx([0.4, 0.1, 0.6, 0.3], abs=0.04)
    assert blue == pytest.approx([0.35, 0.75, 0.65, 0.85], abs=0.04)
    assert (found["detection_scores"][row][:2] > 0.7).all()
    assert not found["detection_scores"][row][2:].any()


def test_pixels_of_several_pictures_are_answered(session: Session) -> None:
    raw = view().tobytes()
    found = answer(session, "pixels", [raw, bytes(len(raw)), raw])
    assert found["detection_boxes"].shape == (3, 100, 4)
    assert found["num_detections"].tolist() == [2, 0, 2]
    check(found, 0)
    check(found, 2)


def test_files_and_levels_are_answered(session: Session) -> None:
    check(answer(session, "image", [detectors.png(detectors.photo())]), 0)
    check(answer(session, "serving_default", [view()]), 0)


def test_the_spec_is_inside(session: Session, version: Path) -> None:
    (text,) = answer(session, "describe", ["spec"])["spec"]
    spec = ModelSpec.from_json(text)
    assert spec == ModelSpec.from_json((version / SPEC_FILE).read_bytes())
    assert (spec.task, spec.boxes) == ("detection", BoxesSpec())
    assert [label for _, label in spec.labels] == ["red", "green", "blue"]
    assert (version / WARMUP_FILE).stat().st_size > 64 * 64 * 3


def test_options_that_do_not_fit_are_refused(models: Path, tmp_path: Path) -> None:
    refused = [
        ("keras", ["--size", "32x32"], "--size is not allowed"),
        ("uint8", ["--scale", "unit"], "takes uint8"),
        ("keras", ["--signature", "other"], "no other"),
        ("keras", ["--max-detections", "0"], "allowed is 1 to 1000"),
        ("uint8", ["--boxes-output", "corners"], "no corners"),
        ("yolo", ["--layout", "yolo_objectness"], "one side must be 8"),
    ]
    for form, further, said in refused:
        with pytest.raises(ScriptError, match=said):
            export(models, form, tmp_path / "base", *further)
    assert [path for path in tmp_path.glob("base/*") if path.name.isdigit()] == []


def test_a_model_of_open_size_needs_one(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPTIONS, "uint8", [])
    with pytest.raises(ScriptError, match="--size HxW"):
        export(models, "uint8", tmp_path)
    monkeypatch.setitem(OPTIONS, "keras", [])
    with pytest.raises(ScriptError, match="--scale unit"):
        export(models, "keras", tmp_path)
