"""Views of pictures: the same for the same seed, in the export's size."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_catalog.spec import InputSpec
from scripts.errors import ScriptError
from scripts.quantization.views import SHIPPED, contents, levels_of, scaled, split

SPEC = InputSpec(height=6, width=5, scale="unit")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(8):
        shape = (20 + number, 30, 3)
        levels = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
        Image.fromarray(levels).save(tmp_path / f"{number}.png")
    return tmp_path


def names(files: list[Path]) -> list[str]:
    return [file.stem for file in files]


def test_a_quarter_of_the_pictures_is_kept_for_the_comparison(folder: Path) -> None:
    calibration, comparison = split(folder, None, 300)

    assert names(calibration) == ["0", "2", "3", "4", "6", "7"]
    assert names(comparison) == ["1", "5"]
    assert split(folder, folder, 2) == ([folder / "0.png", folder / "4.png"],) * 2


def test_one_picture_is_too_few(folder: Path) -> None:
    for file in folder.glob("[1-7].png"):
        file.unlink()

    with pytest.raises(ScriptError, match="has only one image"):
        split(folder, None, 300)


def test_whole_pictures_come_before_views_and_a_seed_repeats_them(folder: Path) -> None:
    files = sorted(folder.glob("*.png"))[:2]

    first, again, other = (list(contents(files, 5, seed)) for seed in (1, 1, 2))

    assert first[:2] == other[:2] == [(file, file.read_bytes()) for file in files]
    assert first == again
    assert first[2:] != other[2:]
    assert [file for file, _ in first] == [*files, *files, files[0]]


def test_images_have_the_size_and_scaling_of_the_export(tensorflow: None, folder: Path) -> None:
    levels = levels_of(contents(sorted(folder.glob("*.png")), 10, 0), SPEC)

    assert levels.shape == (10, 6, 5, 3)
    assert scaled(levels, SPEC) == pytest.approx(levels / 255, abs=1e-6)


def test_a_damaged_picture_is_named(tensorflow: None, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"no picture")

    for count in (1, 2):  # the whole picture, and a view of it
        with pytest.raises(ScriptError, match=r"a\.jpg is not an image"):
            levels_of(contents([file] * count, 1, 0), SPEC)
    with pytest.raises(ScriptError, match=r"a\.jpg is not an image"):
        list(contents([file], 2, 0))


def test_the_pictures_that_come_with_the_project_have_a_source_each() -> None:
    told = re.findall(r"`(\w+\.jpg)`", (SHIPPED / "README.md").read_text(encoding="utf-8"))

    assert sorted(told) == sorted(path.name for path in SHIPPED.glob("*.jpg"))
