"""The page: frames over the picture, a switch for each class, and a slider for the score."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from model_catalog.boxes import BoxesSpec
from model_catalog.spec import InputSpec, ModelSpec, OutputSpec
from tests.browser import node
from tests.browser.conftest import MakeSite, Open
from tests.browser.page_actions import cards, payload, pick
from tests.flask_server.stub_serving import Servable, StubServing, tensor

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow

SPEC = ModelSpec(
    name="toy",
    task="detection",
    input=InputSpec(height=4, width=4),
    output=OutputSpec(classes=2),
    labels=(("1", "cat"), ("2", "big_dog")),
    boxes=BoxesSpec(),
)
ROW: dict[str, Any] = {
    "detection_boxes": [[0.25, 0.25, 0.75, 0.5], [0, 0, 1, 0.2], [0.5, 0.5, 1, 1]],
    "detection_scores": [0.9, 0.6, 0.3],
    "detection_classes": [1.0, 2.0, 2.0],
    "num_detections": 3.0,
}
SIGNATURES = {
    "serving_default": {
        "inputs": {"input_image": tensor("DT_UINT8", (-1, 4, 4, 3))},
        "outputs": {name: tensor("DT_FLOAT", (-1, 3)) for name in ROW},
    },
    "pixels": {
        "inputs": {"pixels": tensor("DT_STRING", (-1,))},
        "outputs": {name: tensor("DT_FLOAT", (-1, 3)) for name in ROW},
    },
    "describe": {},
}


def found(_: Any) -> Any:
    return ROW


@pytest.fixture
def page(open_page: Open, make_site: MakeSite, serving: StubServing) -> Page:
    serving.models = {"toy": {1: Servable(spec=SPEC, score=found, declared=SIGNATURES)}}
    return open_page(make_site(serving.url))


def shown(page: Page) -> Locator:
    """The card of a picture of 400 x 200 pixels."""
    page.emulate_media(reduced_motion="reduce")  # a card that arrives would move meanwhile
    file = io.BytesIO()
    Image.new("RGB", (400, 200), "grey").save(file, "PNG")
    pick(page, payload("wide.png", file.getvalue()))
    return cards(page).first


def frames(card: Locator) -> Locator:
    return card.locator(".box")


def test_frames_lie_over_the_objects(page: Page) -> None:
    card = shown(page)
    expect(frames(card)).to_have_count(2)
    expect(frames(card).locator("span")).to_have_text(["cat 90.0%", "big dog 60.0%"])
    picture, frame = card.locator("img").bounding_box(), frames(card).first.bounding_box()
    assert picture is not None
    assert frame is not None
    # The picture is twice as wide as high, and as wide as its place.
    height = picture["width"] / 2
    top = picture["y"] + (picture["height"] - height) / 2
    assert frame["x"] == pytest.approx(picture["x"] + picture["width"] / 4, abs=2)
    assert frame["width"] == pytest.approx(picture["width"] / 4, abs=2)
    assert frame["y"] == pytest.approx(top + height / 4, abs=2)
    assert frame["height"] == pytest.approx(height / 2, abs=2)
    expect(page.get_by_role("status").first).to_have_text("wide.png: cat, big dog")
    expect(card.get_by_role("button", name="Heat map")).to_be_hidden()
    expect(page.get_by_label("How many labels")).to_be_hidden()


def test_a_class_can_be_switched_off(page: Page) -> None:
    card = shown(page)
    card.get_by_role("checkbox", name="cat").uncheck()
    expect(frames(card).locator("span")).to_have_text(["big dog 60.0%"])
    expect(card.locator(".objects .count")).to_have_text("1 of 2 objects shown.")
    card.get_by_role("checkbox", name="cat").check()
    expect(frames(card)).to_have_count(2)


def test_the_slider_sets_the_least_score(page: Page) -> None:
    card = shown(page)
    slider = card.get_by_role("slider", name="Least score")
    slider.fill("20")
    expect(frames(card)).to_have_count(3)
    expect(card.locator(".objects li").nth(1)).to_contain_text("2, up to 60.0%")
    slider.fill("80")
    expect(frames(card)).to_have_count(1)
    expect(card.get_by_role("checkbox", name="big dog")).to_be_hidden()
    slider.fill("95")
    expect(frames(card)).to_have_count(0)
    expect(card.locator(".objects .count")).to_have_text("No object has this score.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_detections_are_accessible(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 700})
    card = shown(page)
    expect(frames(card)).to_have_count(2)
    page.evaluate((node.install(HERE) / "axe-core" / "axe.min.js").read_text())
    violations = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    assert [one["id"] for one in violations] == []
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_the_client_returns_boxes_and_the_best_of_each_label(page: Page) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 20)).save(file, "PNG")
    answer = page.evaluate(
        """async (bytes) => {
          const { classify } = await import("./static/classifier.js");
          return classify(new Blob([new Uint8Array(bytes)]), { threshold: 0.2 });
        }""",
        list(file.getvalue()),
    )
    assert answer["size"] == [40, 20]
    assert [one["label"] for one in answer["detections"]] == ["cat", "big_dog", "big_dog"]
    assert [one["score"] for one in answer["predictions"]] == [0.9, 0.6]
    assert answer["detections"][0]["box"] == {"xmin": 10, "ymin": 5, "xmax": 20, "ymax": 15}


def test_the_live_camera_draws_frames(page: Page) -> None:
    page.get_by_role("button", name="Live camera").click()
    live = page.get_by_role("region", name="Live camera")

    expect(frames(live).locator("span")).to_have_text(["cat 90.0%", "big dog 60.0%"])
    expect(live.locator(".bars .label")).to_have_text(["cat", "big dog"])
    # In one step: the next picture replaces the frames.
    ratio, place, frame = live.evaluate(
        """(live) => {
          const { videoWidth, videoHeight } = live.querySelector("video");
          const sides = (selector) => live.querySelector(selector).getBoundingClientRect().toJSON();
          return [videoWidth / videoHeight, sides(".area"), sides(".box")];
        }"""
    )
    assert place["width"] / place["height"] == pytest.approx(ratio, abs=0.02)
    assert frame["x"] - place["x"] == pytest.approx(place["width"] / 4, abs=2)
    assert frame["height"] == pytest.approx(place["height"] / 2, abs=2)
    page.get_by_role("button", name="Stop").click()

    expect(frames(live)).to_have_count(0)
