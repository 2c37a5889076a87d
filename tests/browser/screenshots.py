"""Take the screenshots of docs/images.

    python -m tests.browser.screenshots --model imagenet=FOLDER --model mobilenet=FOLDER

runs a model server, a gateway and headless Chromium. ``--model`` names a further model by its base
path; the first one becomes the default. Without it the digits model answers, which comes with the
project; the screenshots of photographs and of a comparison need one or two models of ImageNet.
"""

from __future__ import annotations

import argparse
import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.browser.page_actions import cards, labels, pick
from tests.browser.sites import gateway
from tests.browser.visits import launch, visit
from tests.running import ROOT, model_config, model_server

FOLDER = ROOT / "docs" / "images"
EXAMPLES = ROOT / "flask_server" / "static" / "examples"
MAX_BYTES = 150_000

DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 800}}
TALL: dict[str, Any] = {"viewport": {"width": 1200, "height": 980}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 800},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DARK: dict[str, Any] = {"color_scheme": "dark"}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A screenshot: what is done on the page before it, and the look of the browser."""

    name: str
    act: Callable[[Page], None]
    look: dict[str, Any] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    path: str = "/"


def _start(page: Page) -> None:
    expect(
        page.get_by_role("button", name="Example: a cat").or_(_digit(page)).first
    ).to_be_visible()


def _digit(page: Page) -> Any:
    return page.get_by_role("button", name="Example: the digit 3")


def _ask(page: Page, *names: str) -> None:
    pick(page, [EXAMPLES / name for name in names])
    expect(cards(page).locator(".panel-answer[aria-busy]")).to_have_count(0)
    expect(labels(cards(page)).first).to_be_visible()


def _heat(page: Page) -> None:
    cards(page).first.get_by_role("button", name="Heat map").click()
    expect(cards(page).first.locator("canvas")).to_be_visible()
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")


def _answer(page: Page) -> None:
    _ask(page, "cat.jpg")
    _heat(page)


def _answers(page: Page) -> None:
    _ask(page, "cat.jpg", "coffee.jpg", "rocket.jpg")
    _heat(page)


def _phone(page: Page) -> None:
    _ask(page, "coffee.jpg")


def _compare(page: Page) -> None:
    page.get_by_label("Compare with").select_option(index=1)
    _ask(page, "rocket.jpg")


def _wait(page: Page) -> None:
    held: list[Route] = []
    page.route("**/predict**", lambda route: held.append(route))
    pick(page, EXAMPLES / "palace.jpg")
    expect(cards(page).locator(".seconds")).to_contain_text("1 s")


def _fail(page: Page) -> None:
    pick(page, ROOT / "test_images" / "README.md")
    expect(cards(page).locator(".trouble")).to_be_visible()


def _model(page: Page) -> None:
    page.get_by_role("button", name="About this model").click()
    expect(page.get_by_role("dialog")).to_contain_text("labels")
    expect(page.get_by_role("dialog").locator("dt").first).to_be_visible()


def _docs(page: Page) -> None:
    expect(page.get_by_role("heading", name="Schemas")).to_be_visible()


SHOTS = (
    Shot(name="start", act=_start, look=DESKTOP),
    Shot(name="answer", act=_answer, look=TALL),
    Shot(name="answers-dark", act=_answers, look=TALL | DARK),
    Shot(name="compare", act=_compare, look=TALL),
    Shot(name="waiting", act=_wait, look=DESKTOP),
    Shot(name="error", act=_fail, look=DESKTOP | DARK, refusals=(415,)),
    Shot(name="model", act=_model, look=DESKTOP),
    Shot(name="phone", act=_start, look=PHONE),
    Shot(name="phone-answer-dark", act=_phone, look=PHONE | DARK),
    Shot(name="api", act=_docs, look=DESKTOP, path="/docs"),
)


def main() -> None:
    """Take all screenshots, or those that the command line names."""
    options = _parser().parse_args()
    logging.disable()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = [shot for shot in SHOTS if shot.name in (options.names or [s.name for s in SHOTS])]
    with _site(dict(options.model)) as url, sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        for shot in chosen:
            _take(browser, url, shot, options.folder / f"{shot.name}.webp")
        browser.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="screenshots to take; all by default")
    parser.add_argument("--model", action="append", default=[], type=_named, metavar="NAME=FOLDER")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    return parser


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    return name, Path(path).resolve()


@contextmanager
def _site(models: dict[str, Path]) -> Iterator[str]:
    served = models | {"digits": ROOT / "my_digit_classifier"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            model_server(model_config(served), folder) as serving_url,
            gateway(serving_url, served, folder, poll_interval_s=0.3) as url,
        ):
            yield url


def _take(browser: Browser, url: str, shot: Shot, file: Path) -> None:
    look = shot.look | {"reduced_motion": "reduce"}
    with visit(browser, url + shot.path, refusals=shot.refusals, **look) as page:
        page.wait_for_load_state("networkidle")
        shot.act(page)
        png = page.screenshot()
    for quality in (88, 80, 70, 60):
        Image.open(io.BytesIO(png)).save(file, "WEBP", quality=quality, method=6)
        if file.stat().st_size <= MAX_BYTES:
            return
    raise SystemExit(f"{file} has more than {MAX_BYTES} bytes.")


if __name__ == "__main__":
    main()
