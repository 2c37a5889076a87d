"""Error messages of the page: the detail and code of the server's problem document."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from flask_server.access import key_writer
from tests.browser.conftest import DIGITS, MakeSite, Open
from tests.browser.page_actions import IMAGES, cards, labels, payload, pick
from tests.flask_server.conftest import draw, flat
from tests.flask_server.stub_serving import StubServing
from tests.running import free_port

pytestmark = pytest.mark.slow

MISSING = "This picture waits until an API key is entered above."
UNKNOWN = "The API key is unknown or revoked. (invalid_api_key)"


@pytest.mark.parametrize(
    ("name", "data", "status", "said"),
    [
        pytest.param("cut.png", draw(size=(64, 64))[:-900], 422, "(corrupt_image)", id="cut off"),
        pytest.param("notes.png", b"no picture", 415, "(unsupported_image)", id="text"),
        pytest.param("empty.png", b"", 400, "The image has no bytes. (missing_image)", id="empty"),
    ],
)
def test_unusable_file(
    open_page: Open, site: str, name: str, data: bytes, status: int, said: str
) -> None:
    page = open_page(site, refusals={status})

    pick(page, payload(name, data))

    expect(cards(page).locator(".trouble")).to_contain_text(said)
    expect(page.get_by_role("status").first).to_contain_text(said)
    expect(cards(page).get_by_role("button", name="Ask again")).to_be_visible()
    expect(cards(page).get_by_role("button", name="Heat map")).to_be_hidden()


def test_good_pictures_beside_a_bad_one_are_read(open_page: Open, site: str) -> None:
    page = open_page(site, refusals={415})

    pick(page, [IMAGES / "digit_1.png", IMAGES / "README.md", IMAGES / "digit_2.png"])

    expect(page.locator(".bars li:first-child .label")).to_have_text(["1", "2"])
    expect(cards(page).nth(1).locator(".trouble")).to_contain_text("(unsupported_image)")


def test_dead_serving(open_page: Open, make_site: MakeSite) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    page = open_page(make_site(dead), refusals={503})

    expect(page.get_by_label("Model").locator("option")).to_have_text("toy (not ready)")
    expect(page.locator("#trouble")).to_contain_text("(serving_unavailable)")
    pick(page, payload("white.png", flat("white")))

    expect(cards(page).locator(".trouble")).to_contain_text("(serving_unavailable)")


def test_serving_that_comes_back_is_asked_again(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    page = open_page(make_site(serving.url), refusals={502})
    serving.answer = (500, b"oops")
    pick(page, payload("white.png", flat("white")))
    expect(cards(page).locator(".trouble")).to_contain_text("(serving_error)")

    serving.answer = None
    cards(page).get_by_role("button", name="Ask again").click()

    expect(labels(cards(page)).first).to_have_text("light")
    expect(cards(page).locator(".trouble")).to_be_hidden()


def test_heat_map_that_cannot_be_had(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    page = open_page(make_site(serving.url), refusals={502})
    pick(page, payload("white.png", flat("white")))
    expect(labels(cards(page)).first).to_have_text("light")
    serving.answer = (500, b"oops")

    cards(page).get_by_role("button", name="Heat map").click()

    expect(cards(page).locator(".heat-trouble")).to_contain_text("(serving_error)")
    expect(labels(cards(page)).first).to_be_visible()
    expect(cards(page).get_by_role("button", name="Heat map")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_gateway_that_is_gone(open_page: Open, site: str) -> None:
    page = open_page(site, refusals=["ERR_INTERNET_DISCONNECTED"])
    expect(page.get_by_label("Model")).to_have_value("digits")
    page.context.set_offline(True)

    pick(page, IMAGES / "digit_3.png")

    expect(cards(page).locator(".trouble")).to_have_text(
        f"{site} cannot be reached, or does not let this page ask it. (unreachable)"
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def key(key_file: Path) -> str:
    return key_writer.create(key_file, "web")


@pytest.fixture
def locked(
    open_page: Open, make_site: MakeSite, digits_serving: str, key: str, key_file: Path
) -> Page:
    url = make_site(digits_serving, DIGITS, api_keys_file=key_file)
    return open_page(url, refusals={401})


def enter(page: Page, key: str) -> None:
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")


def test_page_asks_for_a_key_and_goes_on_with_it(locked: Page, key: str) -> None:
    expect(locked.locator("#key")).to_contain_text("An API key is a password for programs")
    expect(locked.locator("#key-why")).to_be_hidden()
    pick(locked, IMAGES / "digit_3.png")
    expect(cards(locked).locator(".trouble")).to_have_text(MISSING)

    locked.get_by_label("API key").focus()
    enter(locked, key)

    expect(labels(cards(locked)).first).to_have_text("3")
    expect(locked.get_by_label("Model")).to_have_value("digits")
    expect(locked.get_by_label("API key")).to_be_hidden()


def test_key_does_not_wait_for_an_answer_to_none(locked: Page, key: str) -> None:
    held: list[Route] = []
    expect(locked.get_by_label("API key")).to_be_focused()
    locked.route("**/models", lambda route: held.append(route), times=1)
    with locked.expect_request("**/models"):
        locked.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    enter(locked, key)
    expect(locked.get_by_label("Model")).to_have_value("digits")
    with locked.expect_response("**/models"):
        held[0].continue_()
    locked.wait_for_timeout(200)

    expect(locked.get_by_label("API key")).to_be_hidden()


def test_wrong_key_is_refused_in_the_servers_words(locked: Page, key: str) -> None:
    enter(locked, "icg_wrong")

    expect(locked.locator("#key-why")).to_have_text(UNKNOWN)
    expect(locked.get_by_label("API key")).to_have_attribute("aria-invalid", "true")
    enter(locked, key)

    expect(locked.get_by_label("Model")).to_have_value("digits")


def test_key_outlives_a_reload_but_not_the_tab(locked: Page, key: str) -> None:
    enter(locked, key)
    expect(locked.get_by_label("Model")).to_have_value("digits")

    locked.reload()
    expect(locked.get_by_label("Model")).to_have_value("digits")
    expect(locked.get_by_label("API key")).to_be_hidden()

    assert locked.evaluate("document.cookie + Object.keys(localStorage)") == ""
    other = locked.context.new_page()
    other.goto(locked.url)
    expect(other.get_by_role("heading", name="This gateway asks for an API key")).to_be_visible()


def test_models_are_loaded_anew_only_after_errors_that_a_newer_list_explains(
    open_page: Open, site: str
) -> None:
    page = open_page(site, refusals={404, 415})
    loads: list[str] = []
    page.on("request", lambda request: loads.append(request.url))
    pick(page, payload("notes.png", b"no picture"))
    expect(cards(page).locator(".trouble")).to_contain_text("(unsupported_image)")
    assert [url for url in loads if url.endswith("/models")] == []

    gone = {"code": "unknown_version", "status": 404, "detail": "There is no version 1."}
    page.route("**/predict**", lambda route: route.fulfill(status=404, json=gone))
    with page.expect_request("**/models"):
        cards(page).get_by_role("button", name="Ask again").click()
