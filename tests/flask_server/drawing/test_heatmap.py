from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flask_server.drawing.annotate import MAX_SIDE
from flask_server.drawing.heatmap import COLOR_STOPS, color_of, overlaid
from flask_server.imaging.decoding import DecodedImage
from flask_server.imaging.reports import report_of
from flask_server.inference.explain import Explanation
from flask_server.inference.ranking import Prediction
from model_catalog.spec import InputSpec
from tests.flask_server.conftest import draw
from tests.flask_server.drawing.test_annotate import luminance

GREY = Image.new("RGB", (640, 480), (128, 128, 128))
STRETCH = InputSpec(height=40, width=40)


def explained(
    *hot: tuple[int, int],
    view: InputSpec = STRETCH,
    heat: float = 0.5,
    warnings: tuple[str, ...] = (),
) -> Explanation:
    """An explanation in which only these cells, of 4 x 4, have heat."""
    grid = np.full((4, 4), -0.1)
    for row, column in hot:
        grid[row, column] = heat
    picture = DecodedImage(GREY, "PNG", GREY.size, "RGB", 1, flattened=False)
    return Explanation(
        model="toy",
        version=1,
        prediction=Prediction("7", "cat", 0.75),
        heat=grid,
        input_spec=view,
        report=report_of(picture, view),
        warnings=warnings,
    )


def colorful(image: Image.Image) -> np.ndarray:
    """How far each pixel is from grey."""
    pixels = np.asarray(image).astype(int)
    spread: np.ndarray = pixels.max(axis=-1) - pixels.min(axis=-1)
    return spread


def test_colours_become_lighter_with_heat() -> None:
    light = [luminance(color_of(share)) for share in np.linspace(0, 1, 101)]

    assert all(before < after for before, after in zip(light, light[1:], strict=False))
    assert light[-1] > light[0] + 0.6


@pytest.mark.parametrize("cell", [(0, 0), (0, 3), (3, 0), (2, 1)])
def test_heat_lies_where_its_cell_is(cell: tuple[int, int]) -> None:
    result = overlaid(GREY, explained(cell)).crop((0, 0, *GREY.size))

    spread = colorful(result)
    top, left = cell[0] * 120, cell[1] * 160
    assert spread[top + 60, left + 80] > 80
    inside = spread[top : top + 120, left : left + 160].sum()
    assert inside > 0.5 * spread.sum()
    far = 639 - (left + 80)
    assert spread[479 - (top + 60), far] == 0


def test_the_hottest_place_wears_the_lightest_colour() -> None:
    result = overlaid(GREY, explained((1, 1)))

    red, green, blue = color_of(1.0)
    pixel = result.getpixel((240, 180))
    assert isinstance(pixel, tuple)
    assert pixel == pytest.approx((red, green, blue), abs=30)


def test_weak_heat_is_drawn_as_strong_as_its_share_of_the_most() -> None:
    weak, strong = (overlaid(GREY, explained((1, 1), heat=heat)) for heat in (0.002, 0.5))

    box = (0, 0, *GREY.size)
    assert weak.crop(box).tobytes() == strong.crop(box).tobytes()
    assert weak.tobytes() != strong.tobytes()


def test_no_heat_draws_no_colour_and_says_so() -> None:
    cold = overlaid(GREY, explained())
    below = overlaid(GREY, explained((1, 1), heat=0.0009))

    assert colorful(cold.crop((0, 0, *GREY.size))).max() == 0
    assert cold.tobytes() == below.tobytes()
    assert cold.height < overlaid(GREY, explained((1, 1), heat=0.0011)).height


def test_what_the_model_did_not_see_is_darker_and_has_no_heat() -> None:
    view = InputSpec(height=40, width=40, fit="crop")

    result = overlaid(GREY, explained((0, 0), view=view))

    seen, unseen = result.getpixel((600 - 81, 400)), result.getpixel((600, 400))
    assert isinstance(seen, tuple)
    assert isinstance(unseen, tuple)
    assert sum(unseen) < sum(seen)
    assert colorful(result.crop((0, 0, 80, 480))).max() == 0
    assert colorful(result.crop((80, 0, 240, 160))).max() > 80


def test_padding_is_not_part_of_the_picture() -> None:
    """Of 4 x 4 cells over a padded panorama the two rows in the middle lie on the picture."""
    panorama = GREY.resize((640, 320))
    view = InputSpec(height=40, width=40, fit="pad")

    result = overlaid(panorama, explained((1, 0), view=view)).crop((0, 0, 640, 320))

    spread = colorful(result)
    assert spread[80, 80] > 80
    assert spread[80, 80] > spread[240, 80]


@pytest.mark.parametrize("size", [(320, 640), (640, 320)])
def test_a_padded_image_is_as_bright_as_a_stretched_one(size: tuple[int, int]) -> None:
    image, box = GREY.resize(size), (0, 0, *size)
    padded = InputSpec(height=40, width=40, fit="pad")

    seen = [overlaid(image, explained(view=view)).crop(box) for view in (padded, STRETCH)]

    assert seen[0].tobytes() == seen[1].tobytes()


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3), (3000, 3000)])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_every_size_is_drawn_within_bounds(size: tuple[int, int], fit: str) -> None:
    view = InputSpec(height=40, width=40, fit=fit)

    result = overlaid(Image.new("L", size), explained((0, 0), view=view))

    assert max(result.size) <= MAX_SIDE


def test_the_picture_shows_through() -> None:
    noise = Image.open(io.BytesIO(draw(size=(640, 480))))

    hot = np.asarray(overlaid(noise, explained((1, 1))).crop((230, 170, 250, 190)), float)

    assert hot.std(axis=(0, 1)).min() > 1


def test_warnings_are_drawn() -> None:
    plain, warned = (overlaid(GREY, explained((1, 1), warnings=w)) for w in ((), ("untrained",)))

    assert warned.height > plain.height


def test_the_web_page_has_the_same_colours() -> None:
    script = Path(__file__).parents[3] / "flask_server" / "static" / "heat_colors.js"
    rows = re.findall(
        r"^  \[([\d.]+), \[(\d+), (\d+), (\d+)\]\],$", script.read_text(), re.MULTILINE
    )

    stops = [(float(row[0]), tuple(int(band) for band in row[1:])) for row in rows]

    assert stops == list(COLOR_STOPS)
