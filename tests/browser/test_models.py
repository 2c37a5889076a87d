"""Models on the page: two of them side by side, and the description of one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import MakeSite, Open
from tests.browser.page_actions import cards, heat_layer, labels, payload, pick
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

pytestmark = pytest.mark.slow


@pytest.fixture
def two(open_page: Open, make_site: MakeSite, serving: StubServing) -> Page:
    """A page with the model `toy`, which has two versions, and the model `other`."""
    old = Servable(spec=make_spec(labels=("old a", "old b", "old c")))
    serving.models = {"toy": {1: old, 2: Servable()}, "other": {7: Servable()}}
    return open_page(make_site(serving.url, {"toy": "toy", "other": "other"}))


def test_all_other_models_and_versions_can_be_compared(two: Page) -> None:
    offered = two.get_by_label("Compare with").locator("option")
    expect(offered).to_have_text(["nothing", "toy, version 1", "toy, version 2", "other, newest"])

    two.get_by_label("Version").select_option("1")

    expect(offered).to_have_text(["nothing", "toy, newest", "toy, version 2", "other, newest"])


def test_both_answers_are_beside_each_other(two: Page) -> None:
    two.get_by_label("Compare with").select_option("toy, version 1")

    pick(two, payload("white.png", flat("white")))

    panels = cards(two).locator(".panel-answer")
    expect(panels.locator(".by")).to_have_text(["toy, version 2", "toy, version 1"])
    expect(panels.first.locator(".label")).to_have_text(["light", "middle", "dark"])
    expect(panels.last.locator(".label")).to_have_text(["old c", "old b", "old a"])
    tops = panels.evaluate_all("all => all.map((one) => one.getBoundingClientRect().top)")
    assert tops[0] == tops[1]

    with two.expect_request("**/models/toy/explain?version=1&**"):
        panels.last.get_by_role("button", name="Heat map").click()
    expect(heat_layer(cards(two))).to_be_visible()
    expect(panels.first.get_by_role("button", name="Heat map")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_one_answer_can_be_cancelled_alone(two: Page) -> None:
    held: list[Route] = []
    two.route("**/other/predict**", lambda route: held.append(route))
    two.get_by_label("Compare with").select_option("other, newest")
    pick(two, payload("white.png", flat("white")))
    first, second = cards(two).locator(".panel-answer").all()
    expect(first.locator(".label").first).to_have_text("light")

    second.get_by_role("button", name="Cancel").click()

    expect(second.locator(".trouble")).to_have_text("Cancelled.")
    expect(labels(first).first).to_have_text("light")
    two.unroute("**/other/predict**")
    second.get_by_role("button", name="Ask again").click()
    expect(second.locator(".by")).to_have_text("other, version 7")


def test_model_is_described_and_its_labels_can_be_searched(two: Page) -> None:
    two.get_by_role("button", name="About this model").click()

    dialog = two.get_by_role("dialog", name="toy")
    expect(dialog.locator("dt").first).to_be_visible()
    facts = dict(
        zip(
            dialog.locator("dt").all_inner_texts(),
            dialog.locator("dd").all_inner_texts(),
            strict=True,
        )
    )
    assert facts["Version"] == "2; also 1"
    assert facts["Labels"] == "3"
    assert "pixels, colour" in facts["Input"]
    expect(dialog.locator(".count")).to_have_text("3 labels")

    dialog.get_by_label("Search the labels").fill("DA")

    expect(dialog.get_by_role("listitem")).to_have_text("dark")
    expect(dialog.locator(".count")).to_have_text("1 of 3 labels")
    dialog.get_by_role("button", name="Close").click()
    expect(two.get_by_role("button", name="About this model")).to_be_focused()


def test_long_lists_of_labels_are_cut(page: Page) -> None:
    texts = page.evaluate(
        """async () => {
        const { ModelCard } = await import("/static/model_card.js");
        const dialog = document.getElementById("model-card");
        const labels = Array.from({ length: 1000 }, (_, i) => [`n${i}`, `great_cat_${i}`]);
        const model = { name: "big", version: 1, versions: [], spec: { labels, input: {} } };
        const describe = async () => model;
        const button = document.createElement("button");
        new ModelCard(dialog, { button, describe });
        button.click();
        await new Promise((resolve) => setTimeout(resolve));
        return [dialog.querySelector(".count").textContent, dialog.querySelectorAll("li").length];
        }"""
    )

    assert texts == ["1,000 labels; the first 200 are shown", 200]
