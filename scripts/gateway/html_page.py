"""Build HTML pages that need no other file: no script, no address of another host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; margin-bottom: 1rem; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .75rem .25rem 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }
figure { margin: 0; } figcaption { overflow-wrap: anywhere; }
img, .none { background: #8882; border-radius: 4px; height: 160px; width: 100%; }
img { object-fit: contain; }
.none { align-items: center; display: flex; justify-content: center; }
.file { color: GrayText; font-size: .85rem; } .bad { color: #c33; }
""".strip()


def page(title: str, body: Iterable[str]) -> Iterator[str]:
    """Yield the parts of a page around a body of HTML."""
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n"
    )
    yield from body
    yield "</body>\n</html>\n"


def figure(preview: str | None, file: str, lines: Sequence[str]) -> str:
    """Return an image with captions; without a preview, a field that says so."""
    picture = (
        f'<img src="{preview}" alt="{escape(file)}" loading="lazy">'
        if preview
        else '<div class="none">no preview</div>'
    )
    captions = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return (
        f'<figure>{picture}<figcaption>{captions}<div class="file">{escape(file)}</div>'
        "</figcaption></figure>\n"
    )


def shown_score(score: float) -> str:
    """Return a score as a percentage, and a value of another range as it is."""
    return f"{score:.1%}" if 0 <= score <= 1 else f"{score:.4g}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a table; cells that are numbers stand on the right."""
    yield "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>\n"
    for row in rows:
        yield "<tr>" + "".join(map(_cell, row)) + "</tr>\n"
    yield "</table>\n"


def _cell(value: object) -> str:
    kind = ' class="number"' if isinstance(value, int | float) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
