"""The copied snippets repeat the request of the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from flask_server.access import key_writer
from tests.browser.conftest import DIGITS, MakeSite, Open
from tests.browser.page_actions import IMAGES, cards, choose, labels, pick

pytestmark = pytest.mark.slow


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A file whose name needs quoting in a shell."""
    path = tmp_path / 'it\'s $HOME "5".png'
    path.write_bytes((IMAGES / "digit_5.png").read_bytes())
    return path


@pytest.fixture
def page(open_page: Open, site: str, picture: Path) -> Page:
    page = open_page(site, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("How many labels").fill("2")
    page.get_by_label("Version").select_option("1")
    pick(page, picture)
    expect(labels(cards(page))).to_have_count(2)
    return page


def copied(page: Page, language: str) -> str:
    choose(cards(page), f"Copy as {language}")
    expect(cards(page).locator(".copied")).to_have_text(f"Copied as {language}.")
    text: str = page.evaluate("navigator.clipboard.readText()")
    expect(cards(page).locator("pre")).to_have_text(text)
    return text


def assert_same(page: Page, answer: dict[str, Any]) -> None:
    assert (answer["model"], answer["version"]) == ("digits", 1)
    assert [p["label"] for p in answer["predictions"]] == labels(cards(page)).all_inner_texts()


def run(command: list[str], folder: Path, **environ: str) -> Any:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environ, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_command_gets_the_same_answer(page: Page, tmp_path: Path) -> None:
    command = copied(page, "curl")

    assert_same(page, json.loads(run(["sh", "-c", command], tmp_path)))


def test_python_program_gets_the_same_answer(page: Page, tmp_path: Path) -> None:
    program = copied(page, "Python").replace("print(reply.json())", "print(reply.text)")

    assert_same(page, json.loads(run([sys.executable, "-c", program], tmp_path)))


def test_fetch_call_gets_the_same_answer(page: Page, picture: Path) -> None:
    call = copied(page, "fetch").replace("console.log(await reply.json());", "return reply.json();")

    # In the page of whoever copies it, the chosen file stays in its field.
    page.evaluate("document.querySelector('#files').outerHTML = '<input type=file>'")
    page.set_input_files("input[type=file] >> nth=0", picture)

    assert_same(page, page.evaluate(f"async () => {{ {call} }}"))


def test_text_is_selected_where_copying_is_not_allowed(page: Page) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")

    choose(cards(page), "Copy as curl")

    expect(cards(page).locator(".copied")).to_contain_text("Selected")
    text = cards(page).locator("pre").inner_text()
    assert page.evaluate("getSelection().toString()") == text
    assert text.startswith("curl -s")


def test_key_is_named_but_not_copied(
    open_page: Open, make_site: MakeSite, digits_serving: str, tmp_path: Path, picture: Path
) -> None:
    file = tmp_path / "keys.json"
    key = key_writer.create(file, "web")
    url = make_site(digits_serving, DIGITS, api_keys_file=file)
    rights = ["clipboard-read", "clipboard-write"]
    page = open_page(url, refusals={401}, permissions=rights)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Model")).to_have_value("digits")
    pick(page, picture)
    expect(labels(cards(page))).to_have_count(5)

    texts = {language: copied(page, language) for language in ("curl", "fetch", "Python")}

    assert key not in "".join(texts.values())
    assert_same(page, json.loads(run(["sh", "-c", texts["curl"]], tmp_path, API_KEY=key)))
    program = texts["Python"].replace("print(reply.json())", "print(reply.text)")
    assert_same(page, json.loads(run([sys.executable, "-c", program], tmp_path, API_KEY=key)))
    assert '"X-API-Key": apiKey' in texts["fetch"]
