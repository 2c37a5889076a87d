"""Turn the manuals, which are made for reading in a repository, into the pages of a site."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath as Path

from docs.generator.markdown import ROOT

#: Pages of the site that show a file outside ``docs``.
PROJECT = {
    "project/contributing.md": "CONTRIBUTING.md",
    "project/security_policy.md": "SECURITY.md",
    "project/benchmarks.md": "benchmarks/README.md",
    "project/examples.md": "examples/README.md",
    "project/changelog.md": "CHANGELOG.md",
}
_PAGE_OF = {file: page for page, file in PROJECT.items()} | {"README.md": "index.md"}
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)
_FILE_NAME = re.compile(r"[\w/.]+\.md")
_ENTRY = re.compile(r"^- \[(.*?)\]\((.*?)\): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One page in the table of contents."""

    title: str
    page: str
    about: str


def contents(index: str) -> list[tuple[str, list[Entry]]]:
    """Return the sections of the index page with their entries."""
    _, *parts = _SECTION.split(index)
    return [
        (caption, [Entry(*found) for found in _ENTRY.findall(text)])
        for caption, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def titles(index: str) -> dict[str, str]:
    """Return the title of each page."""
    return {entry.page: entry.title for _, section in contents(index) for entry in section}


def with_toctrees(index: str) -> str:
    """Return the index page with the tables of contents that Sphinx needs."""
    return "\n".join((index, *_toctrees(index)))


def _toctrees(index: str) -> Iterator[str]:
    for caption, entries in contents(index):
        yield f"```{{toctree}}\n:hidden:\n:caption: {caption}\n"
        yield from (f"{entry.title} <{entry.page}>" for entry in entries)
        yield "```"


def llms_text(index: str) -> str:
    """Return the text of ``llms.txt``: what the project is, and its pages as Markdown files."""
    title, about = index.split("\n\n")[:2]
    lines = [title, "", f"> {' '.join(about.split())}"]
    for caption, entries in contents(index):
        lines += ["", f"## {caption}", ""]
        lines += [f"- [{e.title}]({_source(e.page)}): {e.about}" for e in entries]
    return "\n".join(lines) + "\n"


def _source(page: str) -> str:
    """Return where the site has the text of a page; those of other files have their HTML only."""
    return str(Path(page).with_suffix(".html")) if page in PROJECT else f"_sources/{page}"


def page_text(page: str, text: str, titles: Mapping[str, str]) -> str:
    """Return the text of a page with links that lead to pages of the site, or to downloads.

    A link that shows the name of a page's file gets the page's title instead.
    """
    if page == "index.md":
        text = with_toctrees(text)
    file = PROJECT.get(page, f"docs/{page}")
    if page in PROJECT:
        text = (ROOT / file).read_text(encoding="utf-8")
    parts = _FENCE.split(text)
    parts[::2] = (_LINK.sub(lambda m: _link(m, file, page, titles), part) for part in parts[::2])
    return "".join(parts)


def _link(match: re.Match[str], file: str, page: str, titles: Mapping[str, str]) -> str:
    text, target, anchor = match[1], match[2], match[3] or ""
    if "://" in target or target.startswith("mailto:"):
        return match[0]
    linked = os.path.normpath(Path(file).parent / target)
    if (ROOT / linked).is_dir():
        return text
    goal = f"docs/{_PAGE_OF[linked]}" if linked in _PAGE_OF else linked
    if not goal.startswith("docs/"):
        anchor = ""  # a download
    elif _FILE_NAME.fullmatch(text):
        text = titles.get(goal.removeprefix("docs/"), text)
    return f"[{text}]({os.path.relpath(goal, Path('docs', page).parent)}{anchor})"
