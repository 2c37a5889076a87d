"""Labelled pictures tell the scale: the scores fit best under the right one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from scripts.checks.candidates import Candidate
from scripts.checks.class_folders import check_folders, is_tie, labelled_files
from scripts.errors import ScriptError
from tests.scripts.models import classifier

if TYPE_CHECKING:
    import keras

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

BRIGHTNESS = {"dark": 0.1, "middle": 0.5, "light": 0.9}
LABELS = tuple((f"n{index}", label) for index, label in enumerate(BRIGHTNESS))


def spec_of(activation: str = "softmax") -> ModelSpec:
    return ModelSpec(
        name="brightness",
        input=InputSpec(height=6, width=5),
        output=OutputSpec(classes=3, activation=activation),
        labels=LABELS,
    )


def by_brightness(activation: str | None = "softmax") -> keras.Model:
    """Return a model that knows three levels of brightness from 0 to 1."""
    model = classifier(activation=activation, classes=3)
    levels = np.array([*BRIGHTNESS.values()])
    model.layers[-1].set_weights([np.tile(60 * levels / 3, (3, 1)), -30 * levels**2])
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(4)
    for label, level in BRIGHTNESS.items():
        (tmp_path / label).mkdir()
        for number in range(4):
            noise = random.uniform(-0.05, 0.05, (6, 5, 3))
            pixels = ((level + noise) * 255).round().astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_the_right_scale_fits_best_and_both_orders_tie(folder: Path, activation: str) -> None:
    model = by_brightness(None if activation == "none" else "softmax")

    check = check_folders(folder, model, spec_of(activation))

    assert (check.pictures, check.scales) == (12, ("unit",))
    assert {fit.candidate for fit in check.fits if fit.is_tie} == {
        Candidate("unit"),
        Candidate("unit", reverses=True),
    }
    assert check.fits[0].accuracy == 1.0
    assert check.fits[0].loss < 0.1


@pytest.mark.parametrize(
    ("differences", "tie"),
    [([0.0, 0.0, 0.0], True), ([3.0], True), ([1.0, -1.0, 0.5], True), ([1.0, 1.1, 0.9], False)],
)
def test_a_difference_that_could_be_chance_is_a_tie(differences: list[float], tie: bool) -> None:
    assert is_tie(np.array(differences)) == tie


def test_folders_are_named_after_labels_or_ids_or_taken_in_order(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert [index for index, _ in labelled_files(folder, LABELS)] == [0, 2, 1]
    (folder / "dark").rename(folder / "n0")
    assert [index for index, _ in labelled_files(folder, LABELS)] == [2, 1, 0]
    numbered = (("0", "0"), ("1", "1"), ("2", "2"))
    assert [index for index, _ in labelled_files(folder, numbered)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "said"), [("cats", "'cats' is none"), (None, "must be named after labels")]
)
def test_other_folders_are_named(folder: Path, name: str | None, said: str) -> None:
    if name is None:
        folder = folder / "dark"
    else:
        (folder / "dark").rename(folder / name)

    with pytest.raises(ScriptError, match=said):
        labelled_files(folder, LABELS)


def test_a_folder_without_pictures_and_a_missing_one_are_named(folder: Path) -> None:
    with pytest.raises(ScriptError, match="is not a folder"):
        labelled_files(folder / "none", LABELS)
    for file in (folder / "dark").iterdir():
        file.unlink()
    with pytest.raises(ScriptError, match="has no images; read are"):
        labelled_files(folder, LABELS)


def test_a_file_that_is_no_picture_is_named(folder: Path) -> None:
    (folder / "dark" / "0.png").write_bytes(b"\x89PNG broken")

    with pytest.raises(ScriptError, match="0.png is not an image that can be read"):
        check_folders(folder, by_brightness(), spec_of())
