from __future__ import annotations

import base64
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flask_server.imaging.preprocessing import Pixels, to_pixels
from flask_server.imaging.resizing import Resize, by_pillow, resizer
from flask_server.settings import FastResize, SettingsError
from model_catalog.spec import INTERPOLATIONS, InputSpec
from tests.flask_server.conftest import MakeApp, saved
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

PHOTO = Path(__file__).parents[3] / "test_images" / "cat.jpg"


@pytest.fixture
def fast() -> Resize:
    pytest.importorskip("cykooz_resizer", reason="the extra `fast` is not installed")
    return resizer(FastResize.ON)


def noise(size: tuple[int, int]) -> Image.Image:
    levels = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(levels)


def photo(size: tuple[int, int]) -> Image.Image:
    with Image.open(PHOTO) as image:
        return image.convert("RGB").resize(size)


def apart(image: Image.Image, spec: InputSpec, fast: Resize) -> Pixels:
    """How many levels the fast way is away from Pillow, value by value."""
    exact, quick = to_pixels(image, spec), to_pixels(image, spec, fast)
    return np.maximum(exact, quick) - np.minimum(exact, quick)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("color", ["rgb", "grayscale"])
@pytest.mark.parametrize(
    "size", [(500, 375), (123, 77), (1, 1), (7, 300), (20000, 40), (40, 20000), (4500, 4000)]
)
def test_fast_levels_are_pillows_or_next_to_them(
    size: tuple[int, int], color: str, fit: str, fast: Resize
) -> None:
    spec = InputSpec(height=96, width=130, color=color, fit=fit)

    assert apart(noise(size), spec, fast).max() <= 1


@pytest.mark.parametrize("side", [192, 299])
def test_one_level_of_a_hundred_differs_when_a_photo_shrinks(side: int, fast: Resize) -> None:
    differ = apart(photo((500, 375)), InputSpec(height=side, width=side), fast)

    assert differ.max() == 1
    assert differ.mean() < 0.01


@pytest.mark.parametrize("interpolation", sorted(set(INTERPOLATIONS) - {"bilinear"}))
def test_other_interpolations_stay_with_pillow(interpolation: str, fast: Resize) -> None:
    spec = InputSpec(height=60, width=80, interpolation=interpolation)

    assert not apart(noise((123, 77)), spec, fast).any()


def test_threads_resize_at_the_same_time_without_mixing_their_pictures(fast: Resize) -> None:
    pictures = [noise((300 + number, 200)) for number in range(4)]
    spec = InputSpec(height=96, width=96)
    alone = [to_pixels(picture, spec, fast) for picture in pictures]
    right: list[bool] = []

    def work(number: int) -> None:
        for _ in range(50):
            right.append(bool((to_pixels(pictures[number], spec, fast) == alone[number]).all()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert right == [True] * 200


def test_pillow_resizes_unless_the_setting_says_otherwise() -> None:
    assert resizer(FastResize.OFF) is by_pillow


def test_auto_is_the_fast_way_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, fast: Resize
) -> None:
    assert resizer(FastResize.AUTO) is not by_pillow

    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)

    assert resizer(FastResize.AUTO) is by_pillow


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)

    with pytest.raises(SettingsError, match=r"not installed.*-m pip install .*\[fast\]'$"):
        resizer(FastResize.ON)


@pytest.mark.parametrize("chosen", [FastResize.OFF, FastResize.ON])
def test_serving_gets_the_pixels_of_the_chosen_way(
    chosen: FastResize, serving: StubServing, make_app: MakeApp, fast: Resize
) -> None:
    spec = InputSpec(height=96, width=96)
    serving.models["toy"] = {1: Servable(spec=make_spec(input=spec))}
    client = make_app(fast_resize=chosen).test_client()

    answer = client.post(
        "/models/toy/predict", data=saved(noise((300, 200)), "PNG"), content_type="image/png"
    )

    exact, quick = (to_pixels(noise((300, 200)), spec, way) for way in (by_pillow, fast))
    sent = base64.b64decode(serving.predicts[-1]["instances"][0]["b64"])
    assert answer.status_code == 200
    assert (exact != quick).any()
    assert sent == (quick if chosen is FastResize.ON else exact).tobytes()
