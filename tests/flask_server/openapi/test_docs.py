"""The page of the API: nothing from elsewhere, nothing inline, and a browser draws all of it."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from flask_server.openapi import document
from flask_server.settings import Settings
from tests.browser.visits import installed_chromium
from tests.flask_server.conftest import MakeApp
from tests.listening import listening

FILES = Path(__file__).parents[3] / "flask_server"
SOURCES = [FILES / "templates/docs.html", *sorted((FILES / "static").glob("docs*"))]
CHROMIUM = installed_chromium()


def linked(page: str) -> list[str]:
    return [html.unescape(url) for url in re.findall(r'(?:href|src|data-document)="([^"]*)"', page)]


def test_everything_the_page_names_is_served_here(client: FlaskClient) -> None:
    page = client.get("/docs")

    files = [urljoin("/docs", url) for url in linked(page.text) if not url.startswith("#")]
    assert page.content_type == "text/html; charset=utf-8"
    assert {"/openapi.json", "/static/docs.js", "/static/docs.css"} <= set(files)
    for url in files:
        with client.get(url) as response:
            assert response.status_code == 200, url


def test_pages_and_the_document_are_revalidated(client: FlaskClient) -> None:
    for url in ("/docs", "/openapi.json", "/"):
        first = client.get(url)
        again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})

        assert first.headers["Cache-Control"] == "no-cache"
        assert again.status_code == 304


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_page_needs_nothing_from_elsewhere_and_nothing_inline(source: Path) -> None:
    text = source.read_text(encoding="utf-8")

    assert "//" not in re.sub(r"^\s*//.*$|/\*.*?\*/", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"<style|style=|<script(?![^>]*src)|\son\w+=|innerHTML|eval\(", text)


@pytest.fixture
def address(make_app: MakeApp) -> Iterator[str]:
    app: Flask = make_app()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with listening(server) as url:
        yield url


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_browser_draws_every_route_under_our_own_policy(address: str, tmp_path: Path) -> None:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-quic"]
    command = [str(CHROMIUM), *flags, f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000"]

    done = subprocess.run(
        [*command, "--dump-dom", f"{address}/docs"], capture_output=True, timeout=60, check=True
    )

    drawn = set(re.findall(r'<article id="([^"]+)"', done.stdout.decode()))
    described = document.document(Settings(), "toy")
    operations = [op for item in described["paths"].values() for op in item.values()]
    assert drawn == {operation["operationId"] for operation in operations} | {
        f"schema-{name}" for name in described["components"]["schemas"]
    }
