"""Frames and labels over an image."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from flask_server.drawing import boxes
from flask_server.drawing.annotate import display_image
from flask_server.drawing.boxes import COLORS, INK, scaled, with_boxes
from flask_server.imaging.geometry import Box, Size
from flask_server.inference.detection import Detection
from tests.flask_server.conftest import draw
from tests.flask_server.drawing.test_annotate import luminance

SIZES: list[Size] = [(1, 1), (1, 700), (700, 1), (16, 16), (300, 200), (31, 480), (90, 1700)]


def cat(box: Box, score: float = 0.75, label: str = "cat", class_id: str = "1") -> Detection:
    return Detection(class_id, label, score, box)


def drawn(image: Image.Image, *found: Detection, notices: tuple[str, ...] = ()) -> Image.Image:
    shown = display_image(image)
    return with_boxes(shown, found, original=image.size, title="toy, version 1", notices=notices)


@pytest.mark.parametrize("color", COLORS)
def test_labels_have_contrast(color: tuple[int, int, int]) -> None:
    assert (luminance(color) + 0.05) / (luminance(INK) + 0.05) >= 7


@pytest.mark.parametrize("ground", ["black", "white", "grey", COLORS[0]])
def test_frames_can_be_seen_on_every_ground(ground: str | tuple[int, int, int]) -> None:
    image = Image.new("RGB", (600, 400), ground)
    row = np.asarray(drawn(image, cat((100, 100, 300, 300))))[200, 90:120]
    lights = [luminance(tuple(pixel)) for pixel in row.tolist()]
    assert (max(lights) + 0.05) / (min(lights) + 0.05) >= 4.5


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("label", ["cat", "a label of many words " * 9, "東京", "\n", ""])
def test_any_image_and_any_label_can_be_drawn(size: Size, label: str) -> None:
    image = Image.open(io.BytesIO(draw(size=size)))
    result = drawn(image, cat((0, 0, *size), label=label), cat((0, 0, 1, 1), 3.7, label))
    assert result.height > display_image(image).height


def test_the_frame_surrounds_the_object_in_the_shown_size() -> None:
    image = Image.new("RGB", (100, 50))
    result = np.asarray(drawn(image, cat((50, 20, 80, 40))))
    across = display_image(image).width / 100
    rows, columns = np.nonzero((result[: round(50 * across)] == COLORS[0]).all(axis=-1))
    frame = result[round(30 * across)]
    inside = np.flatnonzero((frame == COLORS[0]).all(axis=-1))
    assert (inside.min(), inside.max()) == (50 * across, 80 * across - 1)
    assert rows.max() == 40 * across - 1
    assert columns.min() == 50 * across


@pytest.mark.parametrize("size", SIZES)
def test_frames_stay_within_the_image(size: Size) -> None:
    for box in ((0, 0, *size), (size[0] - 1, size[1] - 1, *size), (0, 0, 1, 1)):
        left, top, right, bottom = scaled(box, size, size)
        assert 0 <= left <= right < size[0]
        assert 0 <= top <= bottom < size[1]


def test_labels_do_not_cover_each_other_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed: list[Box] = []
    place = boxes._Drawing._place

    def recorded(self: boxes._Drawing, box: Box, size: Size) -> Box:
        placed.append(place(self, box, size))
        return placed[-1]

    monkeypatch.setattr(boxes._Drawing, "_place", recorded)
    same = [cat((200, 150, 400, 300), score) for score in (0.9, 0.8, 0.7, 0.6, 0.5)]
    drawn(Image.new("RGB", (640, 480)), *same)
    assert len(placed) == 5
    for number, one in enumerate(placed):
        for other in placed[:number]:
            apart = one[0] > other[2] or other[0] > one[2] or one[1] > other[3] or other[1] > one[3]
            assert apart, (one, other)


def test_classes_have_their_colors_and_a_row_in_the_caption() -> None:
    image = Image.new("RGB", (400, 300))
    one = drawn(image, cat((10, 50, 100, 100)))
    two = drawn(image, cat((10, 50, 100, 100)), cat((200, 50, 300, 100), 0.6, "dog", "2"))
    assert two.height > one.height
    colors = {tuple(pixel) for pixel in np.asarray(two).reshape(-1, 3).tolist()}
    assert set(COLORS[:2]) <= colors
    counted = drawn(image, cat((10, 50, 100, 100)), cat((200, 50, 300, 100), 0.6))
    assert counted.size == one.size
    assert counted.tobytes() != one.tobytes()


def test_an_image_without_objects_says_so() -> None:
    assert drawn(Image.new("RGB", (400, 300))).height > 300
    noticed = drawn(Image.new("RGB", (400, 300)), notices=("random weights",))
    assert noticed.height > drawn(Image.new("RGB", (400, 300))).height


def test_a_thousand_objects_can_be_drawn() -> None:
    random.seed(1)
    found = []
    for number in range(1000):
        x, y = random.randrange(600), random.randrange(440)
        found.append(cat((x, y, x + 30, y + 30), 0.5, f"class {number % 40}", str(number % 40)))
    assert drawn(Image.new("RGB", (640, 480)), *found).width == 640
