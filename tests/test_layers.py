"""The dependency rule, executable: which room may import what.

A row names a module or a whole room and what it must not import, at the top level or inside a
function; all rows that fit a module hold.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from auto_cmd import needed

ROOT = Path(__file__).parent.parent
ROOMS = ("flask_server", "model_server", "orchestrator", "model_catalog", "scripts")
ENGINES = {"tensorflow", "keras", "openvino", "tensorflow_serving"}
WEB = {"flask", "werkzeug", "requests", "urllib3", "http"}
PROGRAMS = {
    "flask_server",
    "model_server",
    "orchestrator",
    "scripts",
    "auto_cmd",
    "benchmarks",
    "tests",
}

FORBIDDEN: dict[str, set[str]] = {
    "flask_server": ENGINES | PROGRAMS - {"flask_server"},
    "flask_server.errors": WEB | {"PIL", "numpy"},
    "flask_server.imaging.decoding": WEB,
    "flask_server.imaging.preprocessing": WEB,
    "flask_server.imaging.resizing": WEB,
    "flask_server.inference.image_pool": WEB | {"PIL", "numpy"},
    "flask_server.stopwatch": WEB | {"PIL", "numpy"},
    "flask_server.inference.ranking": WEB | {"PIL"},
    "flask_server.inference.predict": WEB,
    "flask_server.inference.explain": WEB,
    "flask_server.imaging.occlusion": WEB,
    "flask_server.drawing.annotate": WEB,
    "flask_server.drawing.caption": WEB,
    "flask_server.drawing.fonts": WEB,
    "flask_server.drawing.heatmap": WEB,
    "flask_server.serving.client": {"flask", "werkzeug", "PIL"},
    "flask_server.serving.model_watch": {"flask", "werkzeug", "PIL"},
    "model_server": PROGRAMS - {"model_server"}
    | {"flask", "werkzeug", "requests", "tensorflow_serving"},
    "orchestrator": ENGINES | PROGRAMS - {"orchestrator"} | {"model_catalog"},
    "model_catalog": ENGINES | PROGRAMS,
    "auto_cmd": ENGINES | PROGRAMS - {"orchestrator"},
    "scripts": {"flask_server", "model_server", "orchestrator", "auto_cmd", "tests"},
}
STDLIB_ONLY = {
    "orchestrator": {"orchestrator"},
    "model_catalog": {"model_catalog"},
    "auto_cmd": {"orchestrator", "model_catalog"},
    "scripts.prepare_models": {"model_catalog", "scripts"},
}
#: Which extras of pyproject.toml a room must be able to live on, and what comes with these.
EXTRAS = {
    "flask_server": ("gateway", "fast", "heif"),
    "model_server": ("embedded", "openvino"),
    "scripts": ("embedded", "export", "dev"),  # scikit-learn has the digits
}
BROUGHT_ALONG = {"werkzeug", "limits", "keras"}
#: The only files that may name an engine, each inside its functions.
ENGINE_FILES = {"model_server.engines.tensorflow_engine", "model_server.engines.openvino_engine"}


def _modules() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path
    yield "auto_cmd", ROOT / "auto_cmd.py"


MODULES = list(_modules())


def imports(tree: ast.AST, module: str) -> Iterator[str]:
    """Every imported module by its top-level name, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield module.split(".")[0] if node.level else str(node.module).split(".")[0]


def applying(module: str, table: dict[str, set[str]]) -> list[set[str]]:
    return [names for prefix, names in table.items() if f"{module}.".startswith(f"{prefix}.")]


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_nothing_points_back(module: str, path: Path) -> None:
    imported = set(imports(ast.parse(path.read_text(encoding="utf-8")), module))
    forbidden = set().union(*applying(module, FORBIDDEN))
    if module.startswith("model_server") and module not in ENGINE_FILES:
        forbidden |= ENGINES

    assert imported & forbidden == set()


@pytest.mark.parametrize(
    ("module", "path"), [pair for pair in MODULES if applying(pair[0], STDLIB_ONLY)]
)
def test_stdlib_rooms_stay_stdlib(module: str, path: Path) -> None:
    allowed = applying(module, STDLIB_ONLY)
    imported = set(imports(ast.parse(path.read_text(encoding="utf-8")), module))

    assert imported <= sys.stdlib_module_names | set.union(*allowed)


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_heavy_imports_stay_inside_functions(module: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])

    assert set(imports(top, module)) & ENGINES == set()


def plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extras: tuple[str, ...]) -> set[str]:
    return {plain(name) for group in needed(*extras) for name in group}


@pytest.mark.parametrize("room", EXTRAS)
def test_an_extra_brings_all_that_its_room_imports(room: str) -> None:
    paths = [(module, path) for module, path in MODULES if module.startswith(f"{room}.")]
    imported = {
        name
        for module, path in paths
        for name in imports(ast.parse(path.read_text(encoding="utf-8")), module)
    }
    foreign = imported - sys.stdlib_module_names - set(ROOMS) - BROUGHT_ALONG
    distributions = packages_distributions()
    missing = {
        name
        for name in foreign
        if not {plain(d) for d in distributions.get(name, [name])} & declared(EXTRAS[room])
    }

    assert missing == set()
