"""The manuals point at files and headings that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for pattern in (
        "*.md",
        "docs/*.md",
        "docs/*/*.md",
        "benchmarks/*.md",
        "examples/*.md",
        "my_*/*.md",
    )
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)#\s]*)#?([^)]*)\)")
FOLDERS = (
    "flask_server|model_server|orchestrator|model_catalog|scripts|benchmarks|tests|docs|deploy"
)
FILE = re.compile(rf"\b((?:{FOLDERS})/[\w./-]*\w(?:\.py|\.md|\.csv|\.json|\.toml|\.txt))\b")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


def broken_links(page: Path) -> Iterator[str]:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        linked = page.parent / target if target else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            yield f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = set(FILE.findall(page.read_text(encoding="utf-8")))

    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_a_broken_link_and_a_missing_heading_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The top\n[a](none.md) [b](#the-top) [c](page.md#other) [d](https://x/y)\n")

    assert list(broken_links(page)) == ["none.md#", "page.md#other"]
