"""The page: pictures from every source, predictions, models, heat maps and timing."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import MakeSite, Open
from tests.browser.page_actions import (
    IMAGES,
    cards,
    choose,
    heat_layer,
    labels,
    payload,
    pick,
)
from tests.flask_server.conftest import draw, flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec

pytestmark = pytest.mark.slow

#: A DataTransfer with one file, made in the page from base64.
TRANSFER = """
  const bytes = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
"""


@pytest.mark.parametrize("digit", [3, 7, 8])
def test_picked_digit_is_read(page: Page, digit: int) -> None:
    pick(page, IMAGES / f"digit_{digit}.png")

    card = page.get_by_role("article", name=f"digit_{digit}.png")
    expect(labels(card)).to_have_count(5)
    expect(labels(card).first).to_have_text(str(digit))
    expect(page.get_by_role("status").first).to_contain_text(f"digit_{digit}.png: {digit}, ")


def test_several_pictures_keep_their_order(page: Page) -> None:
    names = [f"digit_{digit}.png" for digit in (6, 1, 5, 2, 0)]

    pick(page, [IMAGES / name for name in names])

    expect(page.locator(".bars li:first-child .label")).to_have_text(["6", "1", "5", "2", "0"])
    expect(cards(page).locator(".name")).to_have_text(names)


def test_dropped_picture_is_read(page: Page) -> None:
    text = base64.b64encode((IMAGES / "digit_4.png").read_bytes()).decode()

    page.evaluate(
        f"""([text, name]) => {{ {TRANSFER}
        const drop = new DragEvent("drop", {{ dataTransfer: transfer, bubbles: true }});
        document.getElementById("intake").dispatchEvent(drop);
        }}""",
        [text, "dropped.png"],
    )

    expect(labels(cards(page)).first).to_have_text("4")


ADVICE = "The page does not fetch addresses. Save the picture, then drop the file here."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a picture, honestly", "Only files can be dropped here."),
        ("https://pictures.example/cat.jpg", ADVICE),
    ],
)
def test_drop_of_something_else_is_refused(page: Page, text: str, said: str) -> None:
    page.evaluate(
        """(text) => {
        const transfer = new DataTransfer();
        transfer.setData("text/plain", text);
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
        }""",
        text,
    )

    expect(page.get_by_role("alert")).to_have_text(said)
    expect(cards(page)).to_have_count(0)


def test_pasted_address_says_what_to_do(page: Page) -> None:
    page.evaluate(
        """(text) => {
        const transfer = new DataTransfer();
        transfer.setData("text/plain", text);
        document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
        }""",
        "https://pictures.example/cat.jpg",
    )

    expect(page.get_by_role("alert")).to_have_text(ADVICE)
    pick(page, IMAGES / "digit_7.png")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_example_is_read(page: Page) -> None:
    expect(
        page.get_by_role("button", name="Example: a cat")
    ).to_be_hidden()  # the model reads digits

    page.get_by_role("button", name="Example: the digit 7").click()

    expect(cards(page).locator(".name")).to_have_text("digit_7.png")
    expect(labels(cards(page)).first).to_have_text("7")


def test_photographs_are_the_examples_of_colour_models(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    page = open_page(make_site(serving.url))

    expect(page.get_by_role("button", name="Example:")).to_have_count(4)
    page.get_by_role("button", name="Example: a cat").click()

    expect(cards(page)).to_have_accessible_name("cat.jpg")
    expect(labels(cards(page)).first).to_be_visible()


def test_pasted_picture_is_read(page: Page) -> None:
    text = base64.b64encode((IMAGES / "digit_9.png").read_bytes()).decode()

    page.evaluate(
        f"""([text, name]) => {{ {TRANSFER}
        document.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: transfer }}));
        }}""",
        [text, "image.png"],
    )

    expect(labels(cards(page)).first).to_have_text("9")


def test_photograph_is_read(page: Page) -> None:
    page.get_by_role("button", name="Take a photo").click()
    dialog = page.get_by_role("dialog", name="Take a photo")
    expect(dialog.locator("video")).to_have_js_property("readyState", 4)

    dialog.get_by_role("button", name="Take it").click()

    expect(dialog).to_be_hidden()
    expect(cards(page).locator(".name")).to_have_text("photo-1.jpg")
    expect(labels(cards(page))).to_have_count(5)


def test_closed_camera_takes_no_photograph(page: Page) -> None:
    page.get_by_role("button", name="Take a photo").click()
    expect(page.get_by_role("dialog")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Take a photo")).to_be_focused()
    expect(page.locator("#camera video")).to_have_js_property("srcObject", None)
    expect(cards(page)).to_have_count(0)


@pytest.mark.parametrize("button", ["Take a photo", "Live camera"])
def test_camera_that_is_not_allowed(page: Page, button: str) -> None:
    page.evaluate(
        """() => { navigator.mediaDevices.getUserMedia =
        () => Promise.reject(new DOMException("Permission denied", "NotAllowedError")); }"""
    )

    page.get_by_role("button", name=button).click()

    expect(page.get_by_role("alert")).to_have_text("The camera cannot be used: Permission denied.")


def test_phone_opens_its_own_camera(open_page: Open, site: str) -> None:
    page = open_page(site, has_touch=True, is_mobile=True, viewport={"width": 320, "height": 640})

    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").tap()
    chooser.value.set_files(IMAGES / "digit_2.png")

    assert chooser.value.element.get_attribute("capture") == "environment"
    expect(labels(cards(page)).first).to_have_text("2")
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_model_and_version_are_chosen_from_lists(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    old = Servable(spec=make_spec(labels=("old a", "old b", "old c")))
    serving.models = {"toy": {1: old, 2: Servable()}, "other": {1: old, 7: Servable()}}
    page = open_page(make_site(serving.url, {"toy": "toy", "other": "other"}))
    expect(page.get_by_label("Model").locator("option")).to_have_text(["toy", "other"])
    versions = page.get_by_label("Version").locator("option")
    expect(versions).to_have_text(["newest (2)", "1", "2"])

    page.get_by_label("Version").select_option("1")
    page.get_by_label("How many labels").fill("2")
    pick(page, payload("white.png", flat("white")))

    expect(cards(page).locator(".by")).to_have_text("toy, version 1")
    expect(labels(cards(page))).to_have_text(["old c", "old b"])

    page.get_by_label("Model").select_option("other")
    expect(versions).to_have_text(["newest (7)", "1", "7"])
    choose(cards(page), "Ask again")

    expect(cards(page).locator(".by")).to_have_text("other, version 7")
    expect(labels(cards(page))).to_have_text(["light", "middle"])


def test_picture_that_comes_before_the_models_waits_for_them(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    page = open_page(make_site(serving.url))
    held: list[Route] = []
    page.route("**/models", lambda route: held.append(route))
    page.reload()

    pick(page, payload("white.png", flat("white")))
    expect(cards(page).locator(".panel-answer")).to_have_attribute("aria-busy", "true")
    held[0].continue_()

    expect(labels(cards(page))).to_have_text(["light", "middle", "dark"])


def hold(page: Page, url: str) -> list[Route]:
    """Leave requests without a response; return them as they come."""
    held: list[Route] = []
    page.route(url, lambda route: held.append(route))
    return held


def test_waiting_shows_seconds(page: Page) -> None:
    held = hold(page, "**/predict**")
    pick(page, IMAGES / "digit_7.png")
    waiting = cards(page).locator(".waiting")

    expect(waiting.locator(".seconds")).to_have_text(re.compile("Waiting for the labels… [1-9] s"))
    expect(waiting.locator(".skeleton")).to_be_visible()
    held[0].continue_()

    expect(labels(cards(page)).first).to_have_text("7")
    expect(waiting).to_be_hidden()


def test_a_cancelled_request_can_be_sent_again(page: Page) -> None:
    held = hold(page, "**/predict**")
    pick(page, IMAGES / "digit_7.png")
    card = cards(page)
    with page.expect_event("requestfailed"):
        card.get_by_role("button", name="Cancel").click()

    expect(card.locator(".trouble")).to_have_text("Cancelled.")
    expect(card.locator(".waiting")).to_be_hidden()
    expect(page.get_by_role("status").first).to_have_text("digit_7.png: cancelled.")
    again = card.get_by_role("button", name="Ask again")
    expect(again).to_be_focused()

    page.unroute("**/predict**")
    again.click()

    expect(labels(card).first).to_have_text("7")
    expect(card.locator(".trouble")).to_be_hidden()
    assert len(held) == 1


def test_a_cancelled_heat_map_can_be_asked_for_again(page: Page) -> None:
    pick(page, IMAGES / "digit_7.png")
    card = cards(page)
    button = card.get_by_role("button", name="Heat map")
    expect(labels(card).first).to_have_text("7")
    hold(page, "**/explain**")
    with page.expect_request("**/explain**"):
        button.click()
    expect(card.locator(".seconds")).to_have_text(re.compile("Computing the heat map… [1-9] s"))

    card.get_by_role("button", name="Cancel").click()

    expect(card.locator(".waiting")).to_be_hidden()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(card.locator(".heat-trouble")).to_be_hidden()
    expect(labels(card).first).to_have_text("7")

    page.unroute("**/explain**")
    button.click()

    expect(button).to_have_attribute("aria-pressed", "true")


def test_a_phone_scrolls_to_the_new_card(open_page: Open, site: str) -> None:
    page = open_page(site, has_touch=True, is_mobile=True, viewport={"width": 360, "height": 640})
    held = hold(page, "**/predict**")

    pick(page, IMAGES / "digit_2.png")

    expect(cards(page)).to_be_in_viewport(ratio=0.9)
    held[0].continue_()
    expect(labels(cards(page)).first).to_be_in_viewport()


def test_untrained_model_has_a_warning(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    serving.models["toy"] = {1: Servable(spec=make_spec(trained=False))}
    warning = "Model toy has untrained random weights: its labels and scores mean nothing."
    page = open_page(make_site(serving.url))

    expect(page.locator("#warning")).to_have_text(warning)
    expect(page.get_by_label("Model").locator("option")).to_have_text("toy (untrained)")
    pick(page, payload("white.png", flat("white")))

    expect(cards(page).locator(".warning")).to_have_text(warning)


def test_scores_that_are_no_probabilities_are_shown_as_numbers(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    serving.models["toy"] = {1: Servable(make_spec(activation="sigmoid"), lambda _: [1, 8, 4])}
    page = open_page(make_site(serving.url))

    pick(page, payload("white.png", flat("white")))

    expect(cards(page).locator(".score")).to_have_text(["8", "4", "1"])
    widths = page.eval_on_selector_all(".track span", "all => all.map((bar) => bar.style.width)")
    assert widths == ["100%", "50%", "12.5%"]


def test_a_score_of_nothing_has_no_bar(page: Page) -> None:
    pick(page, IMAGES / "digit_3.png")

    expect(cards(page).locator(".score")).to_have_text(["100.0%", *["0.0%"] * 4])
    expect(cards(page).locator(".track span")).to_have_count(1)


def test_names_and_labels_are_never_markup(
    open_page: Open, make_site: MakeSite, serving: StubServing
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    serving.models["toy"] = {1: Servable(spec=make_spec(labels=("dark", "middle", evil)))}
    page = open_page(make_site(serving.url))

    pick(page, payload(f"{evil}.png", flat("white")))

    expect(labels(cards(page)).first).to_have_text(evil)
    expect(cards(page).locator(".name")).to_have_text(f"{evil}.png")


def test_heat_map_comes_and_goes(page: Page) -> None:
    pick(page, IMAGES / "digit_7.png")
    card = cards(page)
    expect(labels(card).first).to_have_text("7")
    button = card.get_by_role("button", name="Heat map")

    button.click()

    expect(button).to_have_attribute("aria-pressed", "true")
    expect(card.get_by_role("img")).to_have_accessible_name("digit_7.png with the heat map")
    expect(page.get_by_role("status").first).to_have_text(
        "The heat map shows the areas that support 7."
    )
    expect(card.locator(".legend p")).to_contain_text("Bright areas speak for 7.")
    assert colours(heat_layer(card)) > 100

    button.click()

    expect(card.get_by_role("img")).to_have_accessible_name("digit_7.png")
    expect(heat_layer(card)).to_be_hidden()
    expect(card.locator(".legend")).to_be_hidden()


def colours(layer: Locator) -> int:
    """How many colours a canvas has."""
    number: int = layer.evaluate(
        """(canvas) => new Set(new Uint32Array(canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
    )
    return number


def test_heat_map_covers_what_the_model_sees(page: Page) -> None:
    brightness = page.evaluate(
        """async () => {
        const { heatPixels } = await import("/static/heat_colors.js");
        const heat = { grid: [[0, 1], [0, 0]], box: [100, 0, 300, 200], size: [400, 200] };
        const pixels = heatPixels(heat, 8, 4);
        const at = ([x, y]) => [...pixels.slice(4 * (8 * y + x))].slice(0, 4);
        return [[7, 0], [5, 0], [2, 3]].map(at);
        }"""
    )

    outside, hot, cold = brightness
    assert outside == [0, 0, 0, 178]
    assert hot[0] > 200 > cold[0]
    assert cold[3] < outside[3] < hot[3]


def test_click_on_a_label_explains_its_class(page: Page) -> None:
    pick(page, IMAGES / "digit_7.png")
    card = cards(page)
    second = labels(card).nth(1)
    expect(second).to_be_visible()
    name = second.inner_text()

    with page.expect_request(f"**/explain?*class={name}&*"):
        second.click()

    expect(second).to_have_attribute("aria-pressed", "true")
    expect(labels(card).first).to_have_attribute("aria-pressed", "false")
    expect(card.locator(".legend p")).to_contain_text(re.compile(f"for {name}|of {name}"))

    card.get_by_label("Opacity").fill("30")
    expect(heat_layer(card)).to_have_css("opacity", "0.3")
    second.click()
    expect(heat_layer(card)).to_be_hidden()


def test_heat_map_of_a_picture_that_the_browser_cannot_show(page: Page) -> None:
    pick(page, payload("digit.tif", tiff(IMAGES / "digit_7.png"), "image/tiff"))
    card = cards(page)
    expect(labels(card).first).to_have_text("7")
    expect(card.get_by_text("This browser cannot show this file.")).to_be_visible()

    card.get_by_role("button", name="Heat map").click()

    expect(card.get_by_text("This browser cannot show this file.")).to_be_hidden()
    expect(card.get_by_role("img")).to_have_accessible_name("digit.tif with the heat map")


def tiff(path: Path) -> bytes:
    file = io.BytesIO()
    Image.open(path).save(file, "TIFF")
    return file.getvalue()


def test_repeated_clicks_request_one_heat_map(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    pick(page, IMAGES / "digit_7.png")
    button = cards(page).get_by_role("button", name="Heat map")

    button.dblclick()

    expect(cards(page).get_by_role("img")).to_have_accessible_name("digit_7.png with the heat map")
    assert sum("/explain" in url for url in asked) == 1


def test_file_that_changes_after_it_was_chosen(open_page: Open, site: str, tmp_path: Path) -> None:
    page = open_page(site, refusals=["ERR_UPLOAD_FILE_CHANGED"])
    file = tmp_path / "digit.png"
    file.write_bytes((IMAGES / "digit_7.png").read_bytes())
    pick(page, file)
    expect(labels(cards(page)).first).to_have_text("7")

    file.write_bytes((IMAGES / "digit_8.png").read_bytes() + b"more")
    choose(cards(page), "Ask again")

    expect(cards(page).locator(".trouble")).to_contain_text("(unreadable_file)")


def test_labels_are_written_in_their_own_direction(page: Page) -> None:
    pick(page, IMAGES / "digit_7.png")

    expect(labels(cards(page)).first).to_have_attribute("dir", "auto")


def test_latency_is_split(page: Page) -> None:
    pick(page, IMAGES / "digit_3.png")

    cards(page).locator(".times summary").click()

    stages = cards(page).locator(".times li")
    names = ["decode", "preprocess", "serving", "postprocess", "other", "network"]
    assert [" ".join(text.split()[:-2]) for text in stages.all_inner_texts()[:-1]] == names
    expect(stages.last).to_have_text("5 kB sent")


def test_huge_photo_is_shrunk_before_upload_unless_turned_off(page: Page) -> None:
    photo = payload("photo.png", draw(size=(700, 500)))
    expect(page.get_by_label("Model")).to_have_value("digits")
    pick(page, photo)
    cards(page).locator(".times summary").click()
    expect(cards(page).locator(".times li").last).to_contain_text("a smaller copy of 1.1 MB")

    page.get_by_text("Advanced").click()
    page.get_by_label("Shrink huge photos").uncheck()
    choose(cards(page), "Ask again")

    expect(cards(page).locator(".times li").last).to_have_text("1.1 MB sent")


def test_focus_moves_on_when_a_picture_is_removed(page: Page) -> None:
    pick(page, [IMAGES / "digit_1.png", IMAGES / "digit_2.png"])
    expect(labels(cards(page))).to_have_count(10)

    choose(cards(page).first, "Remove")

    expect(cards(page).locator(".name")).to_have_text("digit_2.png")
    expect(page.get_by_role("heading", name="Pictures", exact=True)).to_be_focused()

    page.get_by_role("button", name="Remove all").click()

    expect(cards(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Choose pictures")).to_be_focused()
