"""The live camera: labels of picture after picture, with one request in flight."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import MakeSite, Open
from tests.browser.page_actions import cards, labels
from tests.flask_server.stub_serving import StubServing

pytestmark = pytest.mark.slow


def start(page: Page) -> None:
    page.get_by_role("button", name="Live camera").click()


def test_live_camera_shows_labels_and_their_rate(page: Page) -> None:
    start(page)

    live = page.get_by_role("region", name="Live camera")
    expect(live.locator(".bars .label")).to_have_count(3)
    expect(live.locator(".rate")).to_have_text(re.compile(r"^\d+\.\d pictures per second$"))
    expect(page.get_by_role("button", name="Stop")).to_be_focused()

    page.get_by_role("button", name="Stop").click()

    expect(live).to_be_hidden()
    expect(page.locator("#live video")).to_have_js_property("srcObject", None)
    expect(page.get_by_role("button", name="Live camera")).to_be_focused()
    expect(page.get_by_role("status").first).to_have_text("The live camera is off.")


def test_one_request_is_in_flight_and_stop_aborts_it(page: Page) -> None:
    held: list[Route] = []
    page.route("**/predict**", lambda route: held.append(route))
    with page.expect_request("**/predict**"):
        start(page)
    page.wait_for_timeout(300)
    assert len(held) == 1

    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Stop").click()

    expect(page.locator("#live")).to_be_hidden()


def test_a_picture_of_the_live_camera_is_kept(page: Page) -> None:
    start(page)
    expect(page.locator("#live .label").first).to_be_visible()

    page.get_by_role("button", name="Keep this picture").click()

    expect(cards(page)).to_have_accessible_name("photo-1.jpg")
    expect(labels(cards(page))).to_have_count(5)
    page.get_by_role("button", name="Stop").click()


def test_refusal_ends_the_live_camera(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    page = open_page(make_site(serving.url), refusals={502})
    serving.answer = (500, b"oops")

    start(page)

    expect(page.locator("#live .error")).to_contain_text("(serving_error)")
    expect(page.locator("#live .rate")).to_have_text("Stopped.")
