"""The dependency rules, executable: which room, package and module may import which.

Imports count wherever they stand, at the top of a module or inside a function. ``ORDER`` holds the
packages of each program from top to bottom: a module may import from its own package and from those
below. A row of ``FORBIDDEN`` names a module, package or room and what it must not import; all rows
that fit a module hold.

import-linter was tried for this: its contracts cover ``ORDER`` and ``FORBIDDEN``, but neither the
rooms that live on the standard library, nor the extras of pyproject.toml, nor imports that belong
inside functions. One file with all of the rules is shorter than both.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from model_catalog.extras import required_packages
from release.python_source import circles, import_graph, imports, module_name

ROOT = Path(__file__).parent.parent
ROOMS = (
    "flask_server",
    "model_server",
    "orchestrator",
    "model_catalog",
    "scripts",
    "serving_api",
    "serving_gateway",
    "serving_tracing",
    "deploy",
)
ENGINES = {"tensorflow", "keras", "openvino", "nncf", "tensorflow_serving"}
WEB = {"flask", "werkzeug", "requests", "urllib3", "http"}
PROGRAMS = {
    "flask_server",
    "model_server",
    "orchestrator",
    "scripts",
    "auto_cmd",
    "serving_gateway",
    "benchmarks",
    "release",
    "tests",
    "deploy",
}

#: The packages of a program from top to bottom; those of one row do not import each other.
ORDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "flask_server": (
        ("app", "gunicorn.conf", "keys", "flask_sample_request"),
        ("runtime",),
        ("views",),
        ("openapi",),
        ("telemetry", "access"),
        ("drawing", "web"),
        ("inference",),
        ("serving",),
        ("imaging",),
        ("deadline", "stopwatch", "settings", "errors", "json_reader", "memory_budget"),
    ),
    "model_server": (
        ("console", "client"),
        ("__main__",),
        ("server",),
        ("grpc_service",),
        ("rest", "grpc_api"),
        ("request_log",),
        ("models", "inference"),
        ("batching",),
        ("engines",),
        ("transport", "codec"),
        (
            "byte_budget",
            "malloc_trim",
            "log_lines",
            "protos",
            "tfrecord",
            "cpus",
            "flags",
            "flag_table",
            "flag_checks",
            "metrics",
            "errors",
            "internal_errors",
            "packages",
        ),
    ),
}
FORBIDDEN: dict[str, set[str]] = {
    "flask_server": ENGINES | PROGRAMS - {"flask_server"},
    # An error says its HTTP status, which http.HTTPStatus names; the rest of HTTP is not for it.
    "flask_server.errors": WEB - {"http"} | {"http.client", "http.server", "PIL", "numpy"},
    "flask_server.stopwatch": WEB | {"PIL", "numpy"},
    "flask_server.imaging": WEB,
    "flask_server.drawing": WEB,
    "flask_server.inference": WEB,
    "flask_server.inference.image_pool": {"PIL", "numpy"},
    "flask_server.inference.ranking": {"PIL"},
    "flask_server.serving": {"flask", "werkzeug"},
    "model_server": PROGRAMS - {"model_server"}
    | {"flask", "werkzeug", "requests", "tensorflow_serving"},
    "orchestrator": ENGINES | PROGRAMS - {"orchestrator"} | {"serving_api"},
    "model_catalog": ENGINES | PROGRAMS | {"serving_api"},
    "serving_api": ENGINES | PROGRAMS | WEB | {"grpc", "serving_tracing"},
    "serving_tracing": ENGINES | PROGRAMS | WEB | {"grpc", "numpy", "serving_api"},
    # What both servers import while tracing is off.
    "serving_tracing.spans": {"opentelemetry"},
    "serving_tracing.conventions": {"opentelemetry"},
    "serving_tracing.start": {"opentelemetry"},
    "serving_tracing.variables": {"opentelemetry"},
    "auto_cmd": ENGINES | PROGRAMS - {"orchestrator"},
    "scripts": {
        "flask_server",
        "model_server",
        "orchestrator",
        "auto_cmd",
        "serving_gateway",
        "tests",
    },
    # The commands of an installed package; the two servers are started as programs.
    "serving_gateway": ENGINES | {"model_server", "benchmarks", "tests"},
    "serving_gateway.demo": {"flask_server"},
    "serving_gateway.models": {"flask_server"},
    "serving_gateway.model_actions": {"flask_server"},
    "serving_gateway.instance": {"flask_server", "scripts"},
    "deploy": ENGINES | PROGRAMS - {"model_server", "deploy"},
}
#: A script that is another name for a subcommand of the command of an installed package.
DOORS = {"scripts.models": "serving_gateway"}
STDLIB_ONLY = {
    "orchestrator": {"orchestrator"},
    "orchestrator.models": {"model_catalog"},
    # platformdirs is imported inside functions, and only where there is no project.
    "model_catalog": {"model_catalog", "platformdirs"},
    "auto_cmd": {"orchestrator", "model_catalog"},
    "scripts.prepare_models": {"model_catalog", "scripts"},
    "scripts.demo_model": {"model_catalog", "scripts"},
    "scripts.lite0_wheel": {"scripts"},
}
#: Which extras of pyproject.toml a room must be able to live on, and what comes with these.
EXTRAS = {
    "flask_server": ("gateway", "fast", "heif", "grpc"),
    "model_server": ("tensorflow", "openvino"),
    "serving_api": ("gateway", "grpc"),
    "serving_tracing": ("otel",),
    # scikit-learn has the digits; OpenVINO reads the graph files that it will serve.
    "scripts": ("tensorflow", "export", "openvino", "quantize", "parquet", "dev"),
}
BROUGHT_ALONG = {"werkzeug", "limits", "keras", "h5py"}
#: The only files that may name an engine, each inside its functions.
ENGINE_FILES = {"model_server.engines.tensorflow_engine", "model_server.engines.openvino_engine"}
#: The part of the supervisor that knows models; the rest runs processes, whatever they serve.
MODEL_PART = "orchestrator.models"


def _modules() -> Iterator[tuple[str, Path]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield module_name(path.relative_to(ROOT)), path
    yield "auto_cmd", ROOT / "auto_cmd.py"


MODULES = list(_modules())


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> frozenset[str]:
    return frozenset(imports(parsed(path)))


def rooms(names: Iterable[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def applying(module: str, table: dict[str, set[str]]) -> list[set[str]]:
    return [names for prefix, names in table.items() if f"{module}.".startswith(f"{prefix}.")]


def within(name: str, prefix: str) -> bool:
    return f"{name}.".startswith(f"{prefix}.")


def file_of(name: str) -> str:
    """The file or folder of an imported name, as a reader finds it; other packages by name."""
    path = ROOT / name.replace(".", "/")
    source = path.with_suffix(".py") if "." in name else path
    found = next((p for p in (source, path, path.parent) if p.exists() and p != ROOT), None)
    return name if found is None else str(found.relative_to(ROOT))


def forbidden_imports(module: str, imported: Collection[str]) -> Iterator[str]:
    """A sentence for each import that a row of FORBIDDEN names."""
    rows = dict(FORBIDDEN) | ({} if module in ENGINE_FILES else {"model_server.": ENGINES})
    if not within(module, MODEL_PART):
        rows["orchestrator."] = {"model_catalog", MODEL_PART}
    for prefix, names in rows.items():
        for name in sorted(imported):
            if within(name, DOORS.get(module, ".")):
                continue
            if within(module, prefix.rstrip(".")) and any(within(name, taboo) for taboo in names):
                yield (
                    f"{file_of(module)} imports {name}; the rule for {prefix.rstrip('.')} is that"
                    f" it imports none of {', '.join(sorted(names))}"
                )


def level(name: str) -> tuple[int, str] | None:
    """How far down in its program a module stands, and in which package or module of ORDER."""
    room, _, rest = name.partition(".")
    for depth, row in enumerate(ORDER.get(room, ())):
        for package in row:
            if within(rest, package):
                return depth, package
    return None


def upward_imports(module: str, imported: Collection[str]) -> Iterator[str]:
    """A sentence for each import that points up or sideways in ORDER."""
    room, here = module.split(".")[0], level(module)
    for name in sorted(imported):
        there = level(name) if name.split(".")[0] == room else None
        if here is None or there is None or there[1] == here[1] or there[0] > here[0]:
            continue
        if here[0] == there[0] == len(ORDER[room]) - 1:  # single modules; circles are found below
            continue
        order = " > ".join(" = ".join(row) for row in ORDER[room])
        yield (
            f"{file_of(module)} imports {file_of(name)}; in {room} imports only point down: {order}"
        )


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_no_module_imports_what_is_forbidden(module: str, path: Path) -> None:
    assert list(forbidden_imports(module, imports_of(path))) == []


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_imports_point_down(module: str, path: Path) -> None:
    assert list(upward_imports(module, imports_of(path))) == []


def test_only_two_modules_import_ray() -> None:
    """All others work where Ray is not installed."""
    importing = {module for module, path in MODULES if "ray" in rooms(imports_of(path))}

    assert importing == {"deploy.ray.__main__", "deploy.ray.application"}


def test_every_module_of_a_program_has_its_level() -> None:
    without = [m for m, _ in MODULES if m.split(".")[0] in ORDER and level(m) is None]

    assert [m for m in without if not m.endswith("__init__")] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = import_graph({module: imports_of(path) for module, path in MODULES})

    assert circles(graph) == []


def test_an_import_that_points_up_is_told_with_both_files_and_the_rule() -> None:
    (told,) = upward_imports("flask_server.serving.client", {"flask_server.views.health"})

    assert told.startswith(
        "flask_server/serving/client.py imports flask_server/views/health.py;"
        " in flask_server imports only point down: app = gunicorn.conf"
    )


def test_only_one_part_of_the_supervisor_knows_models() -> None:
    imported = {"model_catalog.spec", "orchestrator.models.model_health"}

    assert len(list(forbidden_imports("orchestrator.instance", imported))) == 2
    assert list(forbidden_imports("orchestrator.models.model_health", imported)) == []


def test_a_forbidden_import_is_told_with_the_file_and_the_rule() -> None:
    (told,) = forbidden_imports("flask_server.imaging.decoding", {"flask.json"})

    assert told == (
        "flask_server/imaging/decoding.py imports flask.json; the rule for flask_server.imaging is"
        " that it imports none of flask, http, requests, urllib3, werkzeug"
    )


@pytest.mark.parametrize(
    ("module", "path"), [pair for pair in MODULES if applying(pair[0], STDLIB_ONLY)]
)
def test_stdlib_rooms_stay_stdlib(module: str, path: Path) -> None:
    allowed = applying(module, STDLIB_ONLY)
    imported = rooms(imports_of(path))

    assert imported <= sys.stdlib_module_names | set.union(*allowed)


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_heavy_imports_stay_inside_functions(module: str, path: Path) -> None:
    tree = parsed(path)
    top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])

    assert rooms(imports(top)) & ENGINES == set()


def plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extras: tuple[str, ...]) -> set[str]:
    return {plain(name) for group in required_packages(*extras) for name in group}


@pytest.mark.parametrize("room", EXTRAS)
def test_an_extra_brings_all_that_its_room_imports(room: str) -> None:
    paths = [(module, path) for module, path in MODULES if module.startswith(f"{room}.")]
    imported = {name for module, path in paths for name in rooms(imports_of(path))}
    foreign = imported - sys.stdlib_module_names - set(ROOMS) - BROUGHT_ALONG
    distributions = packages_distributions()
    missing = {
        name
        for name in foreign
        if not {plain(d) for d in distributions.get(name, [name])} & declared(EXTRAS[room])
    }

    assert missing == set()
