from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from flask_server.drawing import caption
from flask_server.drawing.annotate import (
    MAX_SIDE,
    annotated,
    display_image,
    display_size,
    format_score,
    to_file,
)
from flask_server.inference.ranking import Prediction
from tests.flask_server.conftest import draw

CAT = Prediction("7", "cat", 0.75)
NOISE = Image.open(io.BytesIO(draw(size=(400, 300))))


def drawn(
    image: Image.Image, *predictions: Prediction, notices: tuple[str, ...] = ()
) -> Image.Image:
    return annotated(image, predictions, title="toy, version 1", notices=notices)


def below(image: Image.Image, *predictions: Prediction) -> bytes:
    """What is drawn under a picture of 300 rows."""
    result = drawn(image, *predictions)
    return result.crop((0, 300, *result.size)).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (300, 200), (31, 480), (900, 2500)])
def test_nothing_of_the_picture_is_hidden(size: tuple[int, int]) -> None:
    image = Image.open(io.BytesIO(draw(size=size)))

    result = drawn(image, CAT)

    picture = display_image(image)
    left = (result.width - picture.width) // 2
    part = result.crop((left, 0, left + picture.width, picture.height))
    assert part.tobytes() == picture.tobytes()


def test_labels_look_the_same_below_every_picture() -> None:
    black, white = Image.new("RGB", (400, 300)), Image.new("RGB", (400, 300), "white")

    assert below(black, CAT) == below(white, CAT) == below(NOISE, CAT)


@pytest.mark.parametrize(
    "other",
    [Prediction("7", "dog", 0.75), Prediction("7", "cat", 0.76), Prediction("7", "cats", 0.75)],
)
def test_label_and_score_are_drawn(other: Prediction) -> None:
    assert below(NOISE, CAT) != below(NOISE, other)


def luminance(color: caption.Color) -> float:
    """Relative luminance as WCAG defines it."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(color) / 255
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        *product([caption.INK], [caption.BACKGROUND, caption.TRACK, caption.BAR]),
        *product([caption.MUTED, caption.WARNING], [caption.BACKGROUND]),
    ],
)
def test_text_has_contrast(ink: caption.Color, ground: caption.Color) -> None:
    assert (luminance(ink) + 0.05) / (luminance(ground) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((1, 1), (480, 480), id="one pixel"),
        pytest.param((32, 32), (480, 480), id="tiny"),
        pytest.param((240, 100), (480, 200), id="twice as large"),
        pytest.param((241, 100), (241, 100), id="less than twice"),
        pytest.param((1600, 1060), (1600, 1060), id="just fits"),
        pytest.param((1601, 1000), (1600, 999), id="too wide"),
        pytest.param((1000, 1061), (999, 1060), id="too high"),
        pytest.param((100_000, 3), (1600, 1), id="panorama"),
        pytest.param((3, 100_000), (1, 1060), id="pole"),
        pytest.param((10_000, 10_000), (1060, 1060), id="100 megapixels"),
    ],
)
def test_display_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert display_size(size) == expected


@pytest.mark.parametrize("size", [(1, 1), (1, 9000), (9000, 1), (2000, 2000), (10_000, 10_000)])
def test_the_whole_answer_is_bounded(size: tuple[int, int]) -> None:
    many = [Prediction(str(i), f"a long label {i}" * 50, 0.5) for i in range(1000)]

    result = drawn(Image.new("L", size), *many, notices=("a long warning " * 100,) * 3)

    assert max(result.size) <= MAX_SIDE
    assert result.width >= caption.MIN_WIDTH


def test_tiny_pictures_keep_their_hard_pixels() -> None:
    image = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))

    colors = display_image(image).getcolors()

    assert colors is not None
    assert sorted(colors) == [(240 * 480, (0, 0, 0)), (240 * 480, (255, 255, 255))]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("size", [(8, 8), (2000, 20)])
def test_every_colour_mode_is_shown(mode: str, size: tuple[int, int]) -> None:
    assert display_image(Image.new("RGB", size, "white").convert(mode)).getpixel((5, 5)) == (
        255,
        255,
        255,
    )


def test_a_long_label_leaves_the_score_its_place() -> None:
    long = Prediction("7", "cat" * 1000, 0.75)
    short, cut = (drawn(NOISE, prediction) for prediction in (CAT, long))
    right = (400 - 60, 300, 400, short.height)

    assert short.size == cut.size
    assert short.crop(right).tobytes() == cut.crop(right).tobytes()


def test_labels_that_no_font_has_become_their_ids() -> None:
    assert below(NOISE, Prediction("7", "\ue000", 0.75)) == below(NOISE, Prediction("7", "7", 0.75))


def test_only_the_best_classes_are_drawn_and_the_rest_is_counted() -> None:
    many = [Prediction(str(i), f"label {i}", 0.1) for i in range(10)]
    last = Prediction("9", "another", 0.1)

    assert drawn(NOISE, *many[:8]).height < drawn(NOISE, *many[:9]).height
    assert below(NOISE, *many) != below(NOISE, *many[:9])
    assert below(NOISE, *many) == below(NOISE, *many[:9], last)


def test_no_prediction_is_said_format_score() -> None:
    assert below(NOISE) != below(NOISE, CAT)


def test_long_warnings_are_wrapped() -> None:
    short, long = (drawn(NOISE, CAT, notices=(notice,)) for notice in ("short", "long " * 30))

    assert long.height > short.height > drawn(NOISE, CAT).height


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (0.0, "0.0 %"),
        (0.0001, "<0.1 %"),
        (0.0005, "0.1 %"),
        (0.9984, "99.8 %"),
        (1.0, "100.0 %"),
        (-0.5, "-0.5"),
        (1234.5, "1.23e+03"),
    ],
)
def test_score_format_score(score: float, said: str) -> None:
    assert format_score(score) == said


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_file_is_of_the_wanted_kind(kind: str) -> None:
    with Image.open(io.BytesIO(to_file(NOISE, kind))) as image:
        assert (image.format, image.size, image.mode) == (kind, (400, 300), "RGB")
