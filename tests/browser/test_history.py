"""The history of the page: small copies of pictures, in this browser only."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.page_actions import IMAGES, cards, choose, labels, pick

pytestmark = pytest.mark.slow

#: Makes the browser refuse both kinds of storage, as some privacy settings do.
REFUSE = """
for (const name of ["indexedDB", "localStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("no", "SecurityError"); } });
}
"""


def thumbnails(page: Page) -> Locator:
    return page.locator("#history .thumbnail")


def ask(page: Page, digit: int) -> None:
    pick(page, IMAGES / f"digit_{digit}.png")
    expect(labels(cards(page).first).first).to_have_text(str(digit))


def stored(page: Page, number: int) -> None:
    """Wait until this many pictures are stored."""
    page.wait_for_function(
        """async (number) => {
        const { PictureStore } = await import("/static/picture_store.js");
        return (await new PictureStore().load()).length === number;
        }""",
        arg=number,
    )


def test_pictures_of_an_earlier_visit_can_be_asked_again(page: Page) -> None:
    ask(page, 7)
    ask(page, 3)
    expect(page.locator("#history")).to_be_hidden()
    stored(page, 2)

    page.reload()

    expect(thumbnails(page)).to_have_text(
        [re.compile("digit_3.png: 3, "), re.compile("digit_7.png: 7, ")]
    )
    expect(page.locator("#history .note")).to_contain_text("Kept in this browser only")
    thumbnails(page).last.click()
    expect(cards(page)).to_have_accessible_name("digit_7.png")
    expect(labels(cards(page)).first).to_have_text("7")


def test_forgotten_pictures_stay_forgotten(page: Page) -> None:
    ask(page, 7)
    choose(cards(page), "Remove")
    expect(thumbnails(page)).to_have_count(1)

    page.get_by_role("button", name="Forget them").click()

    expect(page.locator("#history")).to_be_hidden()
    expect(page.get_by_role("status").first).to_have_text("The earlier pictures are forgotten.")
    stored(page, 0)


def test_history_can_be_turned_off(page: Page) -> None:
    ask(page, 7)
    stored(page, 1)
    page.get_by_text("Advanced").click()

    page.get_by_label("Keep small copies of my pictures").uncheck()

    stored(page, 0)
    ask(page, 3)
    page.reload()
    page.get_by_text("Advanced").click()
    expect(page.get_by_label("Keep small copies of my pictures")).not_to_be_checked()
    stored(page, 0)


def test_refused_storage_keeps_pictures_until_the_page_is_closed(
    open_page: Open, site: str
) -> None:
    page = open_page("about:blank")
    page.add_init_script(REFUSE)
    page.goto(site)
    ask(page, 7)

    choose(cards(page), "Remove")

    expect(thumbnails(page)).to_have_text(re.compile("digit_7.png: 7, "))
    expect(page.locator("#history .note")).to_contain_text("This browser stores nothing")


def test_large_pictures_are_stored_as_small_copies(page: Page) -> None:
    size = page.evaluate(
        """async () => {
        const { PictureStore } = await import("/static/picture_store.js");
        const canvas = new OffscreenCanvas(1600, 800);
        const noise = canvas.getContext("2d").createImageData(1600, 800);
        noise.data.forEach((_, i) => { noise.data[i] = i % 4 === 3 ? 255 : (i * i) % 251; });
        canvas.getContext("2d").putImageData(noise, 0, 0);
        const store = new PictureStore();
        await store.add(new File([await canvas.convertToBlob()], "noise.png"), "noise");
        const bitmap = await createImageBitmap(store.entries()[0].picture);
        return [bitmap.width, bitmap.height];
        }"""
    )

    assert size == [512, 256]


def test_oldest_pictures_above_the_limits_go(page: Page) -> None:
    cases = [
        ([1, 1, 1], {"count": 3, "bytes": 9}, []),
        ([1, 1, 1], {"count": 2, "bytes": 9}, [1]),
        ([5, 3, 4], {"count": 9, "bytes": 8}, [1]),
        ([1, 9], {"count": 9, "bytes": 8}, [1]),
        ([9], {"count": 9, "bytes": 8}, []),
    ]

    gone = page.evaluate(
        """async (cases) => {
        const { surplus } = await import("/static/picture_store.js");
        const entries = (sizes) => sizes.map((size, i) => ({ id: i + 1, picture: { size } }));
        return cases.map(([sizes, limits]) => surplus(entries(sizes), limits));
        }""",
        cases,
    )

    assert gone == [expected for _, _, expected in cases]
