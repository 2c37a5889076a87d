"""The site has every page, and its links lead to pages; `make docs` checks them with Sphinx."""

from __future__ import annotations

import re

import pytest

from docs.generator.markdown import DOCS, ROOT
from docs.generator.site import PROJECT, llms_text, page_text, titles, with_toctrees

INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
PAGES = sorted(
    path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.name != "index.md"
)


def test_each_page_is_once_in_the_table_of_contents() -> None:
    assert sorted(titles(INDEX)) == PAGES
    assert len(re.findall(r"^- \[", INDEX, re.MULTILINE)) == len(PAGES)


def test_each_entry_of_the_index_becomes_one_of_a_toctree() -> None:
    text = with_toctrees("# Site\n\n## How-to\n\n- [One](a.md): the first.\n- [Two](b.md): next.\n")

    assert text.endswith("```{toctree}\n:hidden:\n:caption: How-to\n\nOne <a.md>\nTwo <b.md>\n```")


def test_llms_text_lists_each_page_with_its_subject() -> None:
    text = llms_text(INDEX)

    assert text.startswith("# Image classification gateway\n\n> An HTTP service that ")
    assert "\n## Reference\n\n- [Commands](_sources/reference/commands.md): all commands" in text
    assert "- [Changelog](project/changelog.html): " in text
    assert len(re.findall(r"^- \[", text, re.MULTILINE)) == len(PAGES)


@pytest.mark.parametrize(
    ("link", "on_the_site"),
    [
        ("[a](gateway.md#grpc)", "[a](../gateway.md#grpc)"),
        ("[a](../CONTRIBUTING.md#vocabulary)", "[a](../project/contributing.md#vocabulary)"),
        ("[a](../README.md)", "[a](../index.md)"),
        ("[gateway.md](gateway.md)", "[The gateway](../gateway.md)"),
        ("[a](../models.toml#x)", "[a](../../models.toml)"),
        ("[a](../examples)", "a"),
        ("[a](https://x.example/y.md)", "[a](https://x.example/y.md)"),
        ("[a](#here)", "[a](#here)"),
    ],
)
def test_links_lead_to_pages_of_the_site_or_to_downloads(link: str, on_the_site: str) -> None:
    moved = link.replace("](../", "](../../").replace("](gateway", "](../gateway")

    assert page_text("reference/errors.md", moved, titles(INDEX)) == on_the_site


def test_links_in_code_stay() -> None:
    code = "```md\n[a](../README.md)\n```\n"

    assert page_text("gateway.md", code, {}) == code


@pytest.mark.parametrize("page", PROJECT)
def test_a_file_outside_the_manuals_becomes_a_page(page: str) -> None:
    text = page_text(page, "# A stub", {})

    assert text.splitlines()[0] == (ROOT / PROJECT[page]).read_text("utf-8").splitlines()[0]
