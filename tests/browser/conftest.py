"""Fixtures: a browser, a real model server with the digits model, and a gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.sites import gateway
from tests.browser.visits import WAIT_MS, launch, visit
from tests.flask_server.stub_serving import StubServing
from tests.running import ROOT, model_config, model_server

DIGITS = {"digits": ROOT / "my_digit_classifier"}

Open = Callable[..., Page]
MakeSite = Callable[..., str]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="package")
def digits_serving(work_folder: Path) -> Iterator[str]:
    with model_server(model_config(DIGITS), work_folder) as url:
        yield url


@pytest.fixture(scope="package")
def site(digits_serving: str, work_folder: Path) -> Iterator[str]:
    """The gateway in front of the digits model."""
    with gateway(digits_serving, DIGITS, work_folder) as url:
        yield url


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open URLs; the test fails if a page has had an error."""
    with ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(visit(browser, url, **options))


@pytest.fixture
def page(open_page: Open, site: str) -> Page:
    return open_page(site)


@pytest.fixture
def serving() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        yield stub


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Run further gateways in front of any model server, with any settings."""
    with ExitStack() as stack:

        def make(serving_url: str, models: Any = None, **settings: Any) -> str:
            return stack.enter_context(
                gateway(serving_url, models or {"toy": "toy"}, tmp_path, **settings)
            )

        yield make
