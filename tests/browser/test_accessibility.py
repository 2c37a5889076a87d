"""Accessibility of the page: keyboard, screen reader, dark and forced colours, small phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from flask_server.access import key_writer
from tests.browser import node
from tests.browser.conftest import MakeSite, Open
from tests.browser.page_actions import IMAGES, cards, choose, heat_layer, labels, payload, pick
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

pytestmark = pytest.mark.slow

LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 640}, "is_mobile": True, "has_touch": True},
    "forced colours": {"forced_colors": "active"},
}

Faults = Callable[[Page], list[str]]


@pytest.fixture(scope="module")
def axe() -> str:
    return (node.install(Path(__file__).parent) / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
def faults(axe: str) -> Faults:
    """Accessibility violations that axe finds in the current page."""

    def find(page: Page) -> list[str]:
        page.evaluate(axe)
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]]

    return find


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_inaccessible(
    open_page: Open, make_site: MakeSite, serving: StubServing, faults: Faults, look: str
) -> None:
    serving.models["toy"] = {1: Servable(spec=make_spec(trained=False))}
    page = open_page(make_site(serving.url), refusals={415}, **LOOKS[look])
    expect(page.locator("#warning")).to_be_visible()
    assert faults(page) == []

    pick(page, payload("white.png", flat("white")))
    pick(page, payload("notes.png", b"no picture"))
    expect(page.locator(".bars li")).to_have_count(3)
    expect(page.locator(".trouble:visible")).to_have_count(1)
    page.locator(".times:visible summary").click()
    answered = cards(page).last
    choose(answered, "Copy as curl")
    answered.get_by_role("button", name="Heat map").click()
    expect(heat_layer(answered)).to_be_visible()
    page.get_by_text("Advanced").click()
    answered.get_by_role("button", name="More for").click()

    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("look", LOOKS)
def test_api_page_is_accessible(open_page: Open, site: str, faults: Faults, look: str) -> None:
    page = open_page(f"{site}/docs", **LOOKS[look])
    expect(page.get_by_role("heading", name="Schemas")).to_be_visible()
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")

    assert faults(page) == []


def test_faults_would_be_found(page: Page, faults: Faults) -> None:
    page.evaluate("document.querySelector('label[for=model]').remove()")

    assert "select-name" in [fault.partition(":")[0] for fault in faults(page)]


def test_question_for_the_key_is_accessible(
    open_page: Open, make_site: MakeSite, serving: StubServing, faults: Faults, tmp_path: Path
) -> None:
    key_writer.create(tmp_path / "keys.json", "web")
    url = make_site(serving.url, api_keys_file=tmp_path / "keys.json")

    page = open_page(url, refusals={401})

    expect(page.get_by_label("API key")).to_be_focused()
    why = re.compile("password for programs.*kept until this tab is closed", re.DOTALL)
    expect(page.get_by_label("API key")).to_have_accessible_description(why)
    assert faults(page) == []


def test_camera_is_accessible(page: Page, faults: Faults) -> None:
    page.get_by_role("button", name="Take a photo").click()
    expect(page.get_by_role("dialog", name="Take a photo")).to_be_visible()

    assert faults(page) == []


@pytest.mark.parametrize("look", ["light", "dark"])
def test_live_camera_model_and_history_are_accessible(
    open_page: Open, site: str, faults: Faults, look: str
) -> None:
    page = open_page(site, **LOOKS[look])
    pick(page, IMAGES / "digit_6.png")
    expect(labels(cards(page)).first).to_have_text("6")
    choose(cards(page), "Remove")
    expect(page.get_by_role("heading", name="Earlier pictures")).to_be_visible()
    page.get_by_role("button", name="Live camera").click()
    expect(page.locator("#live .rate")).to_contain_text("pictures per second")
    page.route("**/predict**", lambda _: None)  # the labels stay as they are
    assert faults(page) == []

    page.get_by_role("button", name="About this model").click()
    expect(page.get_by_role("dialog").locator("dd").first).to_be_visible()

    assert faults(page) == []


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control with this name has a visible focus."""
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and name in (focused.inner_text() or ""):
            break
    expect(focused).to_have_text(name)
    expect(focused).to_have_css("outline-style", "solid")


def test_everything_is_done_by_keyboard(open_page: Open, site: str) -> None:
    page = open_page(site, permissions=["clipboard-read", "clipboard-write"])
    # Playwright begins to intercept file choosers without waiting; a key press would be faster.
    page.on("filechooser", lambda _: None)
    expect(page.get_by_label("Model")).to_have_value("digits")

    tab_to(page, "Choose pictures")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(IMAGES / "digit_6.png")
    expect(labels(cards(page)).first).to_have_text("6")

    tab_to(page, "Remove all")
    page.keyboard.press("Tab")
    more = cards(page).get_by_role("button", name="More for digit_6.png")
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "Copy as Python")
    page.keyboard.press("Escape")
    expect(more).to_be_focused()
    expect(more).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    tab_to(page, "Copy as Python")
    page.keyboard.press("Space")
    expect(cards(page).locator(".copied")).to_have_text("Copied as Python.")
    tab_to(page, "6")
    page.keyboard.press("Enter")
    expect(heat_layer(cards(page))).to_be_visible()
    cards(page).locator(".times summary").focus()
    page.keyboard.press("Enter")
    expect(cards(page).get_by_text("network")).to_be_visible()
    more.focus()
    page.keyboard.press("Enter")
    tab_to(page, "Ask again")
    page.keyboard.press("Enter")
    expect(cards(page).locator("pre")).to_be_hidden()
    page.keyboard.press("Enter")
    tab_to(page, "Remove")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(0)


def test_results_are_announced(page: Page) -> None:
    status = page.get_by_role("status").first
    expect(status).to_have_attribute("role", "status")

    pick(page, IMAGES / "digit_0.png")

    expect(status).to_contain_text("digit_0.png: 0, ")
    expect(cards(page)).to_have_accessible_name("digit_0.png")
    expect(cards(page).get_by_role("list").first).to_contain_text("0 ")
