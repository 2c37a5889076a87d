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
EXTERNAL_LINK = re.compile(r"\]\((\w+://[^)]*)\)")
ADDRESS = re.compile(
    r"https://[\w-]+(?:\.[\w-]+)+(?::\d+)?(?:[/?#]\S*)?|http://(127\.0\.0\.1|localhost)\S*"
)
FOLDERS = (
    "flask_server|model_server|orchestrator|model_catalog|release|scripts|benchmarks|tests|docs"
    "|deploy"
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


def is_address(link: str) -> bool:
    """Tell whether a link has a scheme, a host with a domain, and no blank."""
    return ADDRESS.fullmatch(link) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = set(FILE.findall(page.read_text(encoding="utf-8")))

    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_external_link_is_an_address(page: Path) -> None:
    """Nothing is asked for: the tests run without a network."""
    links = EXTERNAL_LINK.findall(page.read_text(encoding="utf-8"))

    assert [link for link in links if not is_address(link)] == []


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://docs.example/a/b.html#c", True),
        ("http://127.0.0.1:5000/", True),
        ("http://docs.example/", False),
        ("https://docs/", False),
        ("https://docs.example/a b", False),
        ("https:///a", False),
    ],
)
def test_an_external_link_has_https_and_a_host(link: str, *, expected: bool) -> None:
    assert is_address(link) is expected


def test_a_broken_link_and_a_missing_heading_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# The top\n[a](none.md) [b](#the-top) [c](page.md#other) [d](https://x/y)\n")

    assert list(broken_links(page)) == ["none.md#", "page.md#other"]
