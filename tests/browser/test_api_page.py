"""The page of the API: folded routes, one table of errors, and forms with lists of values."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open

pytestmark = pytest.mark.slow


@pytest.fixture
def api(open_page: Open, site: str) -> Page:
    page = open_page(f"{site}/docs")
    expect(page.get_by_role("heading", name="Schemas")).to_be_visible()
    return page


def test_routes_are_folded_until_they_are_chosen(api: Page) -> None:
    route = api.locator("article").filter(has_text="/models/{name}/explain")
    expect(route.get_by_role("heading", name="Parameters")).to_be_hidden()

    api.get_by_role("link", name="/models/{name}/explain").click()

    expect(route.get_by_role("heading", name="Parameters")).to_be_in_viewport()
    address = api.url
    api.goto("about:blank")
    api.goto(address)
    expect(route.get_by_role("heading", name="Parameters")).to_be_in_viewport()


def test_each_error_is_explained_once(api: Page) -> None:
    meaning = "The text of an image is not base64."
    expect(api.locator("#content [role=group][aria-label=Errors]")).to_contain_text(meaning)
    expect(api.locator("article", has_text="/models").filter(has_text=meaning)).to_have_count(0)
    api.get_by_text("Classify one image or several").click()

    api.locator("article").first.get_by_role("link", name="invalid_base64").click()

    expect(api.locator("#error-invalid_base64")).to_be_in_viewport()


def test_booleans_and_enumerations_are_lists(api: Page) -> None:
    route = api.locator("article").filter(has_text="/models/{name}/explain")
    route.locator("summary").first.click()
    route.get_by_text("Try it").click()
    form = route.locator("form")
    expect(form.get_by_label("report").locator("option")).to_have_text(["", "true", "false"])
    form.get_by_label("name", exact=True).fill("digits")
    form.get_by_label("format").select_option("json")
    form.get_by_label("grid").fill("2")
    form.get_by_label("report").select_option("true")

    form.get_by_role("button", name="Send POST").click()

    expect(route.locator(".outcome")).to_contain_text("200 OK")
    expect(route.locator(".outcome")).to_contain_text('"report"')
