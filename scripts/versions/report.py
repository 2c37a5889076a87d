"""Write a comparison as an HTML page, with the images whose best class has changed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from scripts.gateway import html_page
from scripts.gateway.pictures import preview
from scripts.versions.comparison import Answer, Comparison, Pair
from scripts.versions.samples import Sample

MAX_PREVIEWS = 1000
_SHIFTED = 24

Preview = Callable[[Sample], str | None]


def preview_of(sample: Sample) -> str | None:
    """Return a small JPEG of the image as a data URL, or None if there is none."""
    try:
        return preview(io.BytesIO(sample.read()))
    except OSError:
        return None


def report(comparison: Comparison, show: Preview = preview_of) -> Iterator[str]:
    """Yield the parts of the page."""
    before, after = comparison.names
    title = f"Model {comparison.model}: version {before} and version {after}"
    return html_page.page(title, _body(comparison, show))


def _body(comparison: Comparison, show: Preview) -> Iterator[str]:
    yield from html_page.table(("", *comparison.names), _figures(comparison))
    changed = comparison.changed
    yield f"<h2>Other best class ({len(changed)})</h2>\n"
    if changed:
        yield from html_page.table(("from", "to", "images"), comparison.moves())
    if len(changed) > MAX_PREVIEWS:
        yield f"<p>The first {MAX_PREVIEWS} of {len(changed)} images are shown.</p>\n"
    yield from _grid(changed[:MAX_PREVIEWS], comparison.names, show)
    same = [pair for pair in comparison.answered if pair.agrees and pair.shift]
    shifted = sorted(same, key=lambda pair: -abs(pair.shift))[:_SHIFTED]
    if shifted:
        yield "<h2>Same best class, largest score shifts</h2>\n"
        yield from _grid(shifted, comparison.names, show)
    failed = [(pair.name, pair.error) for pair in comparison.pairs if pair.error]
    if failed:
        yield f"<h2>Could not be classified ({len(failed)})</h2>\n"
        yield from html_page.table(("image", "reason"), failed)


def _figures(comparison: Comparison) -> Iterator[tuple[object, ...]]:
    figures = comparison.summary()
    yield "images that both have classified", len(comparison.answered), ""
    yield "same best class (top-1 agreement)", f"{figures['top1_agreement']:.2%}", ""
    yield "mean score shift", f"{figures['mean_score_shift']:.4f}", ""
    yield "largest score shift", f"{figures['largest_score_shift']:.4f}", ""
    yield "median time, ms", *(round(ms, 1) for ms in figures["median_ms"])
    yield "95 % of the times below, ms", *(round(ms, 1) for ms in figures["p95_ms"])


def _grid(pairs: list[Pair], names: tuple[str, str], show: Preview) -> Iterator[str]:
    yield '<div class="grid">\n'
    for pair in pairs:
        before, after = pair.answers()
        lines = [f"{names[0]}: {_told(before)}", f"{names[1]}: {_told(after)}"]
        yield html_page.figure(show(pair.sample), pair.name, lines)
    yield "</div>\n"


def _told(answer: Answer) -> str:
    shown = (f"{c.label} {html_page.shown_score(c.score)}" for c in answer.classes[:3])
    return ", ".join(shown)
