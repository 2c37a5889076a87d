"""Make the README's tables of errors and settings: ``python -m tests.flask_server.readme_tables``.

An error's row comes from its class, a setting's row from its field, default and docstring.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from enum import Enum
from pathlib import Path

from flask_server import settings
from flask_server.errors import GatewayError, kinds
from flask_server.settings import PREFIX, RENAMED, Settings
from flask_server.web.problem_documents import HEADERS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def with_tables(readme: str) -> str:
    """The README with both tables as the code has them now."""
    errors = table("code", "status", "when", rows=[error_row(kind) for kind in kinds()])
    variables = table("variable", "default", "what", rows=setting_rows())
    return between(between(readme, "errors", errors), "settings", variables)


def between(readme: str, name: str, text: str) -> str:
    """The README with the text between the two comments of this name."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    before, found_begin, rest = readme.partition(begin)
    _, found_end, after = rest.partition(end)
    assert found_begin, f"the README lacks {begin}"
    assert found_end, f"the README lacks {end}"
    return f"{before}{begin}\n{text}\n{end}{after}"


def table(*head: str, rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def error_row(kind: type[GatewayError]) -> tuple[str, ...]:
    header = f" + `{HEADERS[kind.status]}`" if kind.status in HEADERS else ""
    return f"`{kind.code}`", f"{kind.status:d}{header}", kind.when


def setting_rows() -> list[tuple[str, ...]]:
    texts, old_names = docstrings(Settings), {new: old for old, new in RENAMED.items()}
    rows: list[tuple[str, ...]] = []
    for field in fields(Settings):
        variable, text = PREFIX + field.name.upper(), markdown(texts[field.name])
        if variable in old_names:
            text += f" The name `{old_names[variable]}` still works, with a warning."
        rows.append((f"`{variable}`", default(field.default), text))
    return rows


def docstrings(cls: type) -> dict[str, str]:
    """The text below each field; Python itself does not keep it."""
    tree = ast.parse(Path(inspect.getfile(settings)).read_text(encoding="utf-8"))
    (body,) = [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls.__name__]
    texts = {}
    for field, text in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            texts[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return texts


def markdown(text: str) -> str:
    """A docstring as one line of Markdown, with links to the manuals that it names."""
    line = " ".join(text.replace("``", "`").split())
    return re.sub(r"docs/\w+\.md(#[\w-]+)?", lambda m: f"[{m[0].split('#')[0]}]({m[0]})", line)


def default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Path):
        value = value.relative_to(ROOT)
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float):
        value = f"{value:g}"
    return f"`{','.join(value) if isinstance(value, tuple) else format(value)}`"


def main() -> None:
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
