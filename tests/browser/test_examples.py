"""The examples for pages of other origins: plain HTML, React and Vue."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser import node
from tests.browser.conftest import Open
from tests.browser.page_actions import IMAGES
from tests.listening import folder_site
from tests.running import ROOT

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
PACKAGE = ROOT / "flask_server" / "static"
CLIENTS = ROOT / "tests" / "clients"
ADDRESS = "http://127.0.0.1:5000"

FRAMEWORKS = {"react": "src/PictureClassifier.jsx", "vue": "src/PictureClassifier.vue"}


@pytest.fixture(scope="module", params=["plain", *FRAMEWORKS])
def app(
    request: pytest.FixtureRequest, site: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of one example, which asks the gateway of the tests instead of port 5000."""
    name = request.param
    folder = tmp_path_factory.mktemp("example") / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    asking = folder / FRAMEWORKS.get(name, "index.html")
    text = asking.read_text(encoding="utf-8")
    assert text.count(ADDRESS) == 1
    asking.write_text(text.replace(ADDRESS, site), encoding="utf-8")
    with folder_site(folder if name == "plain" else built(folder)) as url:
        yield url


def built(folder: Path) -> Path:
    """Build an example with the packages of the tests; return the folder of its page."""
    packages = folder / "node_modules"
    packages.mkdir()
    for package in node.install(CLIENTS).iterdir():
        (packages / package.name).symlink_to(package)
    (packages / "image-classification-gateway").symlink_to(PACKAGE)
    done = node.run(folder, packages / "vite" / "bin" / "vite.js", "build")
    assert done.returncode == 0, done.stdout
    assert "warn" not in done.stdout.lower()
    return folder / "dist"


@pytest.fixture
def page(open_page: Open, app: str) -> Page:
    return open_page(app, refusals=[415])


def choose(page: Page, name: str) -> None:
    page.get_by_label("Picture").set_input_files(IMAGES / name)


def test_picture_gets_its_labels(page: Page) -> None:
    choose(page, "digit_3.png")
    expect(page.locator("li, [role=status]").first).to_have_text(re.compile(r"^3\b"))

    choose(page, "digit_8.png")
    expect(page.locator("li, [role=status]").first).to_have_text(re.compile(r"^8\b"))


def test_refusal_is_shown_in_the_gateways_words(page: Page) -> None:
    choose(page, "README.md")

    expect(page.locator("[role=alert], [role=status]")).to_contain_text("(unsupported_image)")


def test_warnings_are_shown(page: Page) -> None:
    def untrained(route: Route) -> None:
        answer = route.fetch()
        warned: dict[str, Any] = answer.json() | {"warnings": ["The model is untrained."]}
        route.fulfill(response=answer, json=warned)

    page.route("**/predict**", untrained)

    choose(page, "digit_3.png")

    expect(page.get_by_role("status")).to_contain_text("The model is untrained.")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_example_names_the_versions_that_are_tested(name: str) -> None:
    tested = json.loads((CLIENTS / "package.json").read_text())["devDependencies"]
    example = json.loads((EXAMPLES / name / "package.json").read_text())
    local = example["dependencies"].pop("image-classification-gateway").removeprefix("file:")

    assert (EXAMPLES / name / local).resolve() == PACKAGE
    named = example["dependencies"] | example["devDependencies"]
    assert {package: tested.get(package) for package in named} == named


def test_plain_example_has_twenty_lines() -> None:
    assert len((EXAMPLES / "plain" / "index.html").read_text().splitlines()) <= 20
