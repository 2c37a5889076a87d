"""Write Markdown: tables, links, and the parts of a page between two comments."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent

_MANUAL = re.compile(r"docs/((?:\w+/)*\w+\.md)(#[\w-]+)?")


def between(page: str, name: str, text: str) -> str:
    """Return the page with this text between the two comments of this name.

    Raises ValueError if a comment is missing.
    """
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"The page lacks {end if found_begin else begin}.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def table(*head: str, rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the bars in its cells are escaped."""
    lines = [" | ".join(cell.replace("|", r"\|") for cell in row) for row in (head, *rows)]
    lines.insert(1, " | ".join("---" for _ in head))
    return "\n".join(f"| {line} |" for line in lines)


def one_line(text: str) -> str:
    """Return a docstring or help text as one line, with links to the manuals that it names.

    The link is that of a page in ``docs/reference``.
    """
    line = " ".join(text.replace("``", "`").split())
    return _MANUAL.sub(lambda m: f"[{m[1].split('/')[-1]}](../{m[1]}{m[2] or ''})", line)


def docstrings(cls: type) -> dict[str, str]:
    """Return the text below each field of a class; Python itself does not keep it."""
    tree = ast.parse(Path(inspect.getfile(cls)).read_text(encoding="utf-8"))
    (body,) = [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls.__name__]
    texts = {}
    for field, text in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            texts[ast.unparse(field.target)] = inspect.cleandoc(ast.literal_eval(text.value))
    return texts
