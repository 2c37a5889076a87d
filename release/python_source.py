"""Read Python files: the names of their modules, and which modules import which."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath


@dataclass(frozen=True, slots=True)
class Source:
    """A Python file."""

    path: str
    """Relative to the root of the project."""

    lines: int
    tree: ast.Module

    @property
    def module(self) -> str:
        """The whole name of the module."""
        return module_name(PurePath(self.path))

    @property
    def room(self) -> str:
        """The folder of the root that has the file, or the file itself if it lies there."""
        return PurePath(self.path).parts[0]

    @property
    def has_code(self) -> bool:
        """Whether there is more than a docstring."""
        return len(self.tree.body) > (ast.get_docstring(self.tree) is not None)


def source_of(path: str, text: str) -> Source:
    """Return a file with its syntax tree, which has its ``# type: ignore`` comments as well."""
    tree = ast.parse(text, filename=path, type_comments=True)
    return Source(path, len(text.splitlines()), tree)


def read(root: Path, paths: Iterable[str]) -> list[Source]:
    """Read files below the root; those that are missing are left out."""
    return [
        source_of(path, (root / path).read_text(encoding="utf-8"))
        for path in paths
        if (root / path).is_file()
    ]


def module_name(path: PurePath) -> str:
    """Return the whole name of the module in a file, which is relative to the root."""
    return ".".join(path.with_suffix("").parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every imported module by its whole name; of ``from a import b`` ``a`` and ``a.b``.

    Imports count wherever they stand. Raises ValueError for a relative one, which hides the
    package that is imported.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"Line {node.lineno} has a relative import.")
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph(imported: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return for each module those of the others that it imports."""
    return {module: (imported.keys() & set(names)) - {module} for module, names in imported.items()}


def circles(graph: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reached = {module: _reached(module, graph) for module in graph}
    groups = {frozenset(o for o in reached[m] if m in reached[o]) for m in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reached(module: str, graph: Mapping[str, Collection[str]]) -> set[str]:
    """Return all modules that importing the module imports."""
    reached: set[str] = set()
    left = list(graph[module])
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left.extend(graph[name])
    return reached


def mutual_packages(graph: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    """Return the pairs of packages of which each imports the other.

    A package is a folder; a module that lies in the folder of a program stands for itself.
    """
    edges = {(_package(module), _package(name)) for module in graph for name in graph[module]}
    return sorted((one, other) for one, other in edges if one < other and (other, one) in edges)


def _package(module: str) -> str:
    parent = module.rpartition(".")[0]
    return parent if "." in parent else module
