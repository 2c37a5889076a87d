"""The golden pictures: what is written is read, and drift is a number."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from PIL import Image

from model_catalog.errors import GoldenError
from model_catalog.golden import (
    FOLDER,
    SCORES_FILE,
    Golden,
    GoldenPicture,
    drift,
    from_png,
    read_golden,
    to_png,
    write_golden,
)
from model_catalog.spec import InputSpec

SPEC = InputSpec(height=2, width=3)
PIXELS = bytes(range(18))
GOLDEN = Golden((GoldenPicture("a", PIXELS, (0.25, 0.75)),), 0.2)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_golden(tmp_path, SPEC, GOLDEN)

    assert read_golden(tmp_path, SPEC) == GOLDEN


def test_a_version_without_golden_pictures_has_none(tmp_path: Path) -> None:
    assert read_golden(tmp_path, SPEC) is None


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_the_pictures_are_png_files(channels: int, mode: str) -> None:
    pixels = bytes(range(6 * channels))

    png = to_png(pixels, 2, 3, channels)

    with Image.open(io.BytesIO(png)) as image:
        assert (image.mode, image.size, image.tobytes()) == (mode, (3, 2), pixels)
    assert from_png(png, 2, 3, channels) == pixels


def filtered() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((300, 300)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GIF89a", "no PNG file"),
        (to_png(PIXELS, 3, 2, 3), "no plain PNG of 2 x 3 x 3 bytes"),
        (to_png(PIXELS, 2, 3, 3)[:45], "too few or too many bytes"),
        (to_png(PIXELS, 2, 3, 3).replace(b"IDAT", b"IDAT\0\0", 1), "damaged"),
        (to_png(PIXELS + bytes(9), 2, 3, 3)[:0], "no PNG file"),
    ],
)
def test_other_pictures_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        from_png(data, 2, 3, 3)


def test_a_picture_that_another_program_wrote_is_refused() -> None:
    with pytest.raises(ValueError, match="filtered"):
        from_png(filtered(), 300, 300, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"tolerance": "much"},
        {"tolerance": 10**400},
        {"pictures": [{"file": "a.png"}]},
        {"pictures": [{"file": "../b.png", "scores": []}]},
        {"pictures": 3},
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, change: dict[str, object]) -> None:
    write_golden(tmp_path, SPEC, GOLDEN)
    file = tmp_path / FOLDER / SCORES_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))

    with pytest.raises(GoldenError, match=f"The golden images in {tmp_path / FOLDER} cannot"):
        read_golden(tmp_path, SPEC)


@pytest.mark.parametrize(
    ("expected", "received", "size"),
    [
        ([0.25, 0.75], [0.25, 0.75], 0.0),
        ([0.25, 0.75], [0.5, 0.5], 0.25),
        ([-8.0, 4.0], [-8.0, 2.0], 0.25),
        ([1.0], [1.0, 0.0], math.inf),
        ([1.0], [math.nan], math.inf),
        ([], [], 0.0),
    ],
)
def test_drift_is_the_largest_difference_relative_to_scores_above_1(
    expected: list[float], received: list[float], size: float
) -> None:
    assert drift(expected, received) == size
