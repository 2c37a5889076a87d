"""The Angular example, built from its lock file and served from another origin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from flask_server.access import key_writer
from tests.browser import node
from tests.browser.conftest import DIGITS, MakeSite, Open
from tests.browser.page_actions import IMAGES
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable, StubServing, make_spec
from tests.flask_server.task_models import serve
from tests.listening import folder_site
from tests.running import ROOT

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "angular"
LOCKS = [
    folder / "package-lock.json"
    for folder in (EXAMPLE, ROOT / "tests" / "browser", ROOT / "tests" / "clients")
]

#: Routes that the example uses: the compatible form route, or the JSON route of a named model.
ROUTES = {"form": "", "JSON": "digits"}


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the built app; built anew when its sources are newer."""
    node.install(EXAMPLE)
    page = EXAMPLE / "dist" / "browser" / "index.html"
    sources = [*EXAMPLE.glob("*.json"), *(EXAMPLE / "src").rglob("*.*")]
    if not page.exists() or page.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        done = node.npm(EXAMPLE, "run", "build")
        assert done.returncode == 0, done.stdout
    return page.parent


@pytest.fixture(scope="module")
def app(built: Path) -> Iterator[str]:
    with folder_site(built) as url:
        yield url


@pytest.fixture
def page(open_page: Open, app: str) -> Page:
    return open_page(app, refusals=[401, 415, 503, "ERR_FAILED"])


@pytest.fixture
def task_site(make_site: MakeSite, serving: StubServing) -> str:
    """A gateway with a model of each task, named like its task."""
    models = serve(serving)
    return make_site(serving.url, models)


def ask(page: Page, gateway: str, way: str, *, key: str = "", picture: str = "digit_3.png") -> None:
    page.get_by_label("Gateway").fill(gateway)
    page.get_by_label("Model").fill(ROUTES[way])
    page.get_by_label("API key").fill(key)
    page.get_by_label("Picture").set_input_files(IMAGES / picture)


def best(page: Page) -> Locator:
    return page.get_by_role("list", name="Labels").get_by_role("listitem").first


@pytest.mark.parametrize("way", ROUTES)
def test_base64_picture_gets_its_labels(page: Page, site: str, way: str) -> None:
    ask(page, site, way)

    expect(best(page)).to_contain_text("3: ")


@pytest.mark.parametrize("way", ROUTES)
def test_warnings_about_the_model_are_shown(
    page: Page, make_site: MakeSite, serving: StubServing, way: str
) -> None:
    spec = make_spec(trained=False, labels=tuple("abcde"))
    serving.models["digits"] = {1: Servable(spec, lambda _: [1, 2, 3, 4, 5])}
    gateway = make_site(serving.url, {"digits": "digits"})

    ask(page, gateway, way)

    expect(page.get_by_role("status")).to_have_text(
        "Model digits has untrained random weights: its labels and scores mean nothing."
    )


@pytest.mark.parametrize("way", ROUTES)
def test_key_passes_the_preflight(
    page: Page, make_site: MakeSite, digits_serving: str, tmp_path: Path, way: str
) -> None:
    key = key_writer.create(tmp_path / "keys.json", "frontend")
    gateway = make_site(digits_serving, DIGITS, api_keys_file=tmp_path / "keys.json")
    alert = page.get_by_role("alert")

    ask(page, gateway, way)
    expect(alert).to_contain_text("(missing_api_key)")
    ask(page, gateway, way, key="icg_wrong", picture="digit_4.png")
    expect(alert).to_have_text("The API key is unknown or revoked. (invalid_api_key)")
    ask(page, gateway, way, key=key, picture="digit_5.png")

    expect(best(page)).to_contain_text("5: ")
    expect(alert).to_have_count(0)


@pytest.mark.parametrize("way", ROUTES)
def test_refusal_is_shown_in_the_gateways_words(page: Page, site: str, way: str) -> None:
    ask(page, site, way, picture="README.md")

    expect(page.get_by_role("alert")).to_contain_text("(unsupported_image)")


def test_a_late_answer_to_an_earlier_picture_is_not_shown(page: Page, site: str) -> None:
    late: list[Route] = []
    page.route("**/predict", lambda route: late.append(route), times=1)
    with page.expect_request("**/predict"):
        ask(page, site, "JSON", picture="digit_3.png")
    ask(page, site, "JSON", picture="digit_5.png")
    expect(best(page)).to_contain_text("5: ")

    for route in late:
        route.fulfill(json={"predictions": [{"class_id": "3", "label": "3", "score": 1}]})
    page.wait_for_timeout(200)

    expect(best(page)).to_contain_text("5: ")


@pytest.mark.parametrize("way", ROUTES)
def test_an_answer_of_something_else_is_said_to_be_one(page: Page, site: str, way: str) -> None:
    headers = {"Access-Control-Allow-Origin": "*"}
    answer = {"json": {"hello": "world"}, "headers": headers}
    page.route("**/predict**", lambda route: route.fulfill(**answer))

    ask(page, site, way)

    expect(page.get_by_role("alert")).to_contain_text("This is not a gateway's answer")


def test_a_key_that_no_header_can_carry_is_not_passed_over(page: Page, site: str) -> None:
    ask(page, site, "JSON", key="ключ")

    expect(page.get_by_role("alert")).to_contain_text("Http failure response")


def test_a_file_that_cannot_be_read_is_said_to_be_one(page: Page, site: str) -> None:
    ask(page, site, "JSON")
    expect(best(page)).to_contain_text("3: ")
    broken = "FileReader.prototype.readAsDataURL = function () { this.onerror() }"
    page.evaluate(f"() => {{ {broken} }}")

    ask(page, site, "JSON", picture="digit_4.png")

    expect(page.get_by_role("alert")).to_have_text("The file cannot be read; choose it again.")
    expect(best(page)).to_have_count(0)


def test_origin_that_is_not_allowed_gets_nothing(
    open_page: Open, app: str, make_site: MakeSite, digits_serving: str
) -> None:
    gateway = make_site(digits_serving, DIGITS, cors_origins=("https://app.example",))
    page = open_page(app, refusals=["ERR_FAILED", "blocked by CORS policy"])

    ask(page, gateway, "JSON")

    expect(page.get_by_role("alert")).to_contain_text("Http failure response")
    expect(best(page)).to_have_count(0)


@pytest.mark.parametrize(
    ("task", "line", "start"),
    [
        ("classification", "0: 75.0%", None),
        ("detection", "1: 90.0% at 0, 0 to 4, 4", None),
        ("segmentation", "0: 75.0%, 48 pixels", "PNG"),
        ("embedding", "2 numbers: 0.600, 0.800", "NUM"),
        ("tensor", "y: [0.5,null]", "NUM"),
    ],
)
def test_each_task_has_its_method(
    page: Page, task_site: str, tmp_path: Path, task: str, line: str, start: str | None
) -> None:
    numbers = tmp_path / "zeros.npy"
    np.save(numbers, np.zeros((4, 4, 3), np.float32))
    (tmp_path / "white.png").write_bytes(flat("white"))
    page.get_by_label("Gateway").fill(task_site)
    page.get_by_label("Model").fill(task)

    page.get_by_label("Picture").set_input_files(tmp_path / "white.png")
    expect(best(page)).to_have_text(line)
    expect(page.get_by_role("button", name="Get the file")).to_have_count(int(start is not None))
    if start is not None:
        page.get_by_role("button", name="Get the file").click()
        file = page.get_by_role("link", name="The file")
        expect(file).to_be_visible()
        read = "async ({ href }) => (await (await fetch(href)).text()).slice(1, 4)"
        assert file.evaluate(read) == start
    page.get_by_label("Picture").set_input_files(numbers)

    expect(page.get_by_role("img")).to_have_count(0)
    expect(best(page)).to_contain_text(line.partition(":")[0])


@pytest.mark.parametrize("lock", LOCKS, ids=["example", "browser", "clients"])
def test_lock_file_names_no_registry(lock: Path) -> None:
    packages = json.loads(lock.read_text())["packages"]

    assert len(packages) > 2
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
