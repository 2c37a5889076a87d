"""An HTML page with a preview of each image, grouped by its best class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from scripts.classification.rows import Row
from scripts.gateway import html_page
from scripts.gateway.pictures import preview

#: A preview takes about 5 kB, so that a page with this many stays below 15 MB.
MAX_PREVIEWS = 2000
_NO_CLASS = "could not be classified"

Preview = Callable[[Path], str | None]


def contact_sheet(title: str, rows: Sequence[Row], show: Preview = preview) -> Iterator[str]:
    """Yield the parts of the page; groups by class, in each the highest score first."""
    return html_page.page(title, _body(rows, show))


def _body(rows: Sequence[Row], show: Preview) -> Iterator[str]:
    ordered = sorted(rows, key=_place)
    groups = [(name, list(group)) for name, group in groupby(ordered, key=_group)]
    yield from html_page.table(("class", "images"), [(name, len(g)) for name, g in groups])
    if len(rows) > MAX_PREVIEWS:
        yield f"<p>Previews of {MAX_PREVIEWS} of {len(rows)} images, the others by name.</p>\n"
    shown = 0
    for name, group in groups:
        yield f'<h2>{escape(name)} ({len(group)})</h2>\n<div class="grid">\n'
        for row in group:
            shown += 1
            picture = show(Path(row.file)) if shown <= MAX_PREVIEWS else None
            yield html_page.figure(picture, row.file, _captions(row))
        yield "</div>\n"


def _group(row: Row) -> str:
    return row.predictions[0].label if row.predictions else _NO_CLASS


def _place(row: Row) -> tuple[bool, str, float, str]:
    score = row.predictions[0].score if row.predictions else 0.0
    return bool(row.error), _group(row), -score, row.file


def _captions(row: Row) -> list[str]:
    if row.error:
        return [f"{row.error}: {row.detail}"]
    return [f"{c.label} {html_page.shown_score(c.score)}" for c in row.predictions[:3]]
