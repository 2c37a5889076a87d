"""Sphinx's configuration; ``make docs`` builds the site from these pages."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.generator.site import llms_text, page_text, titles  # noqa: E402
from model_catalog.version import VERSION  # noqa: E402

project = "Image classification gateway"
version = release = VERSION
extensions = ["myst_parser"]
exclude_patterns = ["generator", "__pycache__"]
nitpicky = True
show_warning_types = True

myst_heading_anchors = 4
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"{project} {release}"
html_sourcelink_suffix = ""  # so that llms.txt can link to the Markdown of a page
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
# TOML, JSON and shell sessions in the manuals may have "…" for what is left out.
highlight_language = "none"
suppress_warnings = ["misc.highlighting_failure"]


_INDEX = Path(__file__).with_name("index.md").read_text(encoding="utf-8")


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = page_text(f"{docname}.md", source[0], titles(_INDEX))


def _write_llms(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        Path(app.outdir, "llms.txt").write_text(llms_text(_INDEX), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Rewrite the pages as they are read, and write ``llms.txt`` in the end."""
    app.connect("source-read", _read)
    app.connect("build-finished", _write_llms)
