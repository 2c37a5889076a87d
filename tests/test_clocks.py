"""Deadlines, intervals and polls use the monotonic clock, which nobody sets.

The time of day may jump in either direction, when a clock is set or a virtual machine is resumed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.running import ROOT

PROGRAMS = (
    *("flask_server", "model_server", "orchestrator", "model_catalog"),
    *("serving_api", "serving_gateway", "serving_tracing", "auto_cmd.py"),
)
#: Names of the standard library that return the time of day.
TIME_OF_DAY = {
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
}
#: What may use the time of day: it is only shown or written down, or given back to a library.
ALLOWED = {
    "flask_server/access/key_writer.py": "when a key was made",
    "flask_server/access/local_counts.py": "the end of a window, for Flask-Limiter",
    "flask_server/access/quotas.py": "the end of a window, of Redis or of local_counts",
    "flask_server/telemetry/process_states.py": "when a process was started",
    "model_server/request_log/log_files.py": "the names of files",
    "orchestrator/instance.py": "when an instance was started",
    "serving_tracing/tracing.py": "the times of spans",
}


def sources() -> Iterator[str]:
    for program in PROGRAMS:
        path = ROOT / program
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            yield file.relative_to(ROOT).as_posix()


def times_of_day(text: str) -> set[str]:
    """Return the names in a source that stand for the time of day."""
    nodes = list(ast.walk(ast.parse(text)))
    used = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    imported = {
        f"{node.module}.{name.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    return (used | imported) & TIME_OF_DAY


def test_only_what_is_shown_or_written_down_uses_the_time_of_day() -> None:
    found = {path for path in sources() if times_of_day((ROOT / path).read_text(encoding="utf-8"))}

    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import time\nend = time.time() + 1", {"time.time"}),
        ("from time import time", {"time.time"}),
        ("clock = datetime.now", {"datetime.now"}),
        ("import time\nend = time.monotonic() + 1", set()),
    ],
)
def test_names_of_the_time_of_day_are_found(text: str, names: set[str]) -> None:
    assert times_of_day(text) == names
