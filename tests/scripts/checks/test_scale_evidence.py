"""The evidence for a scale: in the export's spec, its assumptions and warnings, and the doctor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model_catalog.spec import SPEC_FILE, ModelSpec
from scripts import doctor_model
from scripts.checks.candidates import Candidate
from scripts.export_saved_model import main
from tests.scripts.checks.calibrated import calibrated
from tests.scripts.checks.test_class_folders import by_brightness, folder
from tests.scripts.manual import manual_commands
from tests.scripts.models import classifier

__all__ = ["folder"]

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.usefixtures("tensorflow"),
    # Keras saves variables by a conversion that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword"),
]


@pytest.fixture(scope="module")
def unit_file(tensorflow: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "unit.keras"
    calibrated(Candidate("unit")).save(path)
    return path


def exported(file: Path, base_path: Path, *options: str) -> ModelSpec:
    assert main(["--model", str(file), "--base-path", str(base_path), "--replace", *options]) == 0
    newest = max(base_path.iterdir(), key=lambda version: int(version.name))
    return ModelSpec.from_json((newest / SPEC_FILE).read_bytes())


def test_the_evidence_takes_the_place_of_a_guess(
    unit_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = exported(unit_file, tmp_path)

    said = capsys.readouterr().out
    assert spec.images.scale == "unit"
    assert spec.scale_evidence.startswith(
        "divergence at the first batch normalisation with 4 images: unit "
    )
    assert f"assumed: --scale unit ({spec.scale_evidence})" in said
    assert "--scale tf" not in said
    assert "warning" not in said


def test_an_option_that_contradicts_the_evidence_is_kept_and_warned_of(
    unit_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = exported(unit_file, tmp_path, "--scale", "none")

    said = capsys.readouterr().out
    assert spec.images.scale == "none"
    assert spec.scale_evidence.startswith("--scale none; divergence at the first batch norm")
    assert "warning: --scale none contradicts the evidence (divergence at the first" in said
    assert "try --scale unit\n" in said


def test_swapped_channels_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibrated(Candidate("unit", reverses=True)).save(tmp_path / "bgr.keras")

    exported(tmp_path / "bgr.keras", tmp_path / "bgr")

    assert "fit images with red and blue swapped" in capsys.readouterr().out


def test_a_frozen_backbone_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = calibrated(Candidate("unit"))
    model.layers[0].trainable = False
    model.save(tmp_path / "frozen.keras")

    spec = exported(tmp_path / "frozen.keras", tmp_path / "frozen")

    assert spec.images.scale == "tf"
    assert "a guess" in spec.scale_evidence
    assert "first frozen batch normalisation with 4 images: unit" in spec.scale_evidence
    assert doctor_model.main([str(tmp_path / "frozen.keras")]) == 0
    assert "It shows the scale of the backbone" in capsys.readouterr().out


def test_labelled_pictures_decide(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "brightness.keras"
    by_brightness().save(file)
    labels = tmp_path / "labels.txt"
    labels.write_text("dark\nmiddle\nlight\n")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for label in ("dark", "middle", "light"):
        (folder / label).rename(pictures / label)
    options = ("--labels", str(labels), "--check", str(pictures))

    spec = exported(file, tmp_path / "brightness", *options)

    assert spec.images.scale == "unit"
    assert spec.scale_evidence.startswith("loss of 12 labelled images: unit 0.0")
    capsys.readouterr()
    assert doctor_model.main([str(file), *options]) == 0
    said = capsys.readouterr().out
    assert "The model has no batch normalisation" in said
    # The model takes no notice of the order of the channels; either one may come first.
    first, second = (line.partition("100% right  ") for line in said.splitlines() if "100%" in line)
    assert {first[2], second[2].removesuffix("  (tie)")} == {
        "unit",
        "unit with red and blue swapped",
    }
    assert second[2].endswith("  (tie)")
    assert "Possible: --scale unit\n" in said
    assert "--fit and --interpolation change scores too little" in said


def test_the_commands_of_the_manual_run(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    by_brightness().save(work / "flowers.keras")
    (work / "flowers.txt").write_text("dark\nmiddle\nlight\n")
    for name in ("photos", "photos_by_class"):
        for label in ("dark", "middle", "light"):
            shutil.copytree(folder / label, work / name / label)
    monkeypatch.chdir(work)
    commands = manual_commands("flowers.keras", script="doctor_model.py")

    assert [doctor_model.main(command) for command in commands] == [0, 0]
    assert "Possible: --scale unit" in capsys.readouterr().out


def test_the_doctor_shows_all_candidates(
    unit_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor_model.main([str(unit_file)]) == 0

    said = capsys.readouterr().out
    assert said.startswith("sequential")
    assert "Divergence at the first batch normalisation (norm) with 4 images" in said
    assert said.count("with red and blue swapped\n") == 5
    assert "Possible: --scale unit" in said


def test_pictures_unlike_those_of_the_training_are_told(
    unit_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor_model.main([str(unit_file), "--images", str(folder / "dark")]) == 0

    said = capsys.readouterr().out
    assert "with 4 images" in said
    assert "No candidate fits well: the images are unlike those of the training." in said


def test_a_folder_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.keras"
    classifier().save(file)

    assert doctor_model.main([str(file), "--images", str(tmp_path / "none")]) == 1

    assert capsys.readouterr().err.endswith("none is not a folder; needed is a folder of images.\n")
