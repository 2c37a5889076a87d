"""Actions of a user on the page, and locators of its elements."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import FilePayload, Locator, Page

from tests.running import ROOT

IMAGES = ROOT / "test_images"


def cards(page: Page) -> Locator:
    return page.get_by_role("article")


def labels(card: Locator) -> Locator:
    return card.locator(".bars .label")


def payload(name: str, data: bytes, kind: str = "image/png") -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": data}


def pick(page: Page, files: Path | FilePayload | list[Path]) -> None:
    """Choose files through the button, as users do."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(files)


def choose(card: Locator, action: str) -> None:
    """Choose an action from the menu of a card."""
    card.get_by_role("button", name="More for").click()
    card.get_by_role("button", name=action, exact=True).click()


def heat_layer(card: Locator) -> Locator:
    """The heat map over the picture of a card."""
    return card.locator("canvas")
