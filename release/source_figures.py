"""Measure Python files: lengths, docstrings, imports and names."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from release.python_source import Source, circles, import_graph, imports, mutual_packages

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS: Final = (*_FUNCTIONS, ast.ClassDef)
_BROAD: Final = {"Exception", "BaseException"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is to say of some files. Names have the place where they stand before them."""

    modules: Mapping[str, int]
    """The lines of each module that has code."""

    functions: Mapping[str, int]
    """The lines of each function without its docstring, those in other functions included."""

    folders: Mapping[str, int]
    """The number of modules that lie in each folder."""

    documented: Mapping[str, bool]
    """Whether each public module, class, function and method has a docstring."""

    circles: Sequence[Sequence[str]]
    """The groups of modules that import each other."""

    mutual_packages: Sequence[tuple[str, str]]
    """The pairs of packages that import each other."""

    repeated_names: Mapping[str, int]
    """The public names of modules that several modules of one room define, with their number."""

    type_ignores: int
    broad_handlers: int
    """The handlers of all exceptions."""

    @property
    def documented_share(self) -> float:
        """The share of public names with a docstring."""
        return sum(self.documented.values()) / max(len(self.documented), 1)


def measure(sources: Iterable[Source]) -> Figures:
    """Return the figures of the files."""
    sources = [source for source in sources if source.has_code]
    graph = import_graph({source.module: set(imports(source.tree)) for source in sources})
    defined = Counter(name for source in sources for name in set(_names_in_room(source)))
    nodes = [node for source in sources for node in ast.walk(source.tree)]
    return Figures(
        modules={source.path: source.lines for source in sources},
        functions={place: n for source in sources for place, n in function_lines(source)},
        folders=Counter(str(PurePath(source.path).parent) for source in sources),
        documented={place: told for source in sources for place, told in documented(source)},
        circles=circles(graph),
        mutual_packages=mutual_packages(graph),
        repeated_names={name: count for name, count in defined.items() if count > 1},
        type_ignores=sum(len(source.tree.type_ignores) for source in sources),
        broad_handlers=sum(_is_broad(node) for node in nodes),
    )


def percentile(numbers: Iterable[int], share: float) -> int:
    """Return the smallest of the numbers that is at least as large as this share of them."""
    ordered = sorted(numbers) or [0]
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def function_lines(source: Source) -> Iterator[tuple[str, int]]:
    """Yield the place of each function, and its lines from ``def`` on without the docstring."""
    for node in ast.walk(source.tree):
        if isinstance(node, _FUNCTIONS) and not _is_overload(node):
            yield _place(source, node), _lines(node) - _docstring_lines(node)


def documented(source: Source) -> Iterator[tuple[str, bool]]:
    """Yield the place of each public name, and whether it has a docstring."""
    yield source.path, ast.get_docstring(source.tree) is not None
    for node in _public_definitions(source.tree.body):
        yield _place(source, node), ast.get_docstring(node) is not None


def public_names(source: Source) -> Iterator[str]:
    """Yield the public names that a module defines: classes, functions and constants."""
    for node in source.tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, _DEFINITIONS):
            yield from [] if node.name.startswith("_") else [node.name]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (name for name in names if not name.startswith("_"))


def _names_in_room(source: Source) -> Iterator[str]:
    return (f"{source.room}: {name}" for name in public_names(source))


def _public_definitions(body: Iterable[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    for node in body:
        if not isinstance(node, _DEFINITIONS) or node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield node
            yield from _public_definitions(node.body)
        elif not _is_overload(node):
            yield node


def _is_overload(node: Function) -> bool:
    return any("overload" in ast.unparse(each).split(".") for each in node.decorator_list)


def _is_broad(node: ast.AST) -> bool:
    """Tell whether a node is a handler of all exceptions."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    if node.type is None:
        return True
    return any(isinstance(n, ast.Name) and n.id in _BROAD for n in ast.walk(node.type))


def _place(source: Source, node: Function | ast.ClassDef) -> str:
    return f"{source.path}:{node.lineno} {node.name}"


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _docstring_lines(node: Function) -> int:
    return 0 if ast.get_docstring(node) is None else _lines(node.body[0])
