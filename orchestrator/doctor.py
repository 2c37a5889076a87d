"""Check what the children need: interpreter, packages, ports, disk space and settings.

Each check yields a finding: what was found and, where something is wrong, how to fix it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from orchestrator.check import Check
from orchestrator.child import ChildSpec
from orchestrator.console import Console
from orchestrator.ports import port_problem

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
_MIN_FREE_BYTES = 1024**3
_VERSIONS = """
import importlib.metadata as m, json, sys
named = [d for d in m.distributions() if d.metadata.get("Name")]
found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in named}
print(json.dumps({"python": list(sys.version_info[:3]), "packages": found}))
"""


class Level(Enum):
    """How a finding counts; the values are the marks in the report."""

    OK = "ok"
    NOTE = "note"
    """Worth knowing; the servers work."""

    WRONG = "WRONG"
    """Keeps the servers from working."""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    text: str
    level: Level = Level.OK
    fix: str = ""
    """What to do about it; empty when all is well."""


@dataclass(frozen=True)
class _Interpreter:
    version: tuple[int, ...]
    packages: Mapping[str, str]


class _InterpreterError(Exception):
    """The interpreter cannot be started or fails."""


def report(findings: Sequence[Finding], console: Console) -> int:
    """Print every finding with its fix; return 1 if one of them is WRONG, else 0."""
    for finding in findings:
        console.print(f"{finding.level.value:6}{finding.text}")
        if finding.fix:
            console.print(f"{'':6}fix: {finding.fix}")
    wrong = [finding for finding in findings if finding.level is Level.WRONG]
    console.print(f"{len(wrong)} of {len(findings)} checks found something wrong")
    return 1 if wrong else 0


def examine_python(
    python: str, needed: Sequence[Sequence[str]], pinned: Mapping[str, str], fix: str
) -> Iterator[Finding]:
    """Check the children's Python and its packages; one package of each group is enough."""
    try:
        found = _ask_interpreter(python)
    except _InterpreterError as error:
        yield Finding(f"{python} does not run: {error}", Level.WRONG, fix)
        return
    text = f"Python {'.'.join(map(str, found.version))} ({python})"
    if OLDEST_PYTHON <= found.version[:2] <= NEWEST_PYTHON:
        yield Finding(text)
    else:
        yield Finding(text, Level.WRONG, "use Python 3.11 to 3.13")
    missing = [group for group in needed if not _installed(group, found.packages)]
    if missing:
        names = ", ".join(" or ".join(group) for group in missing)
        verb = "is" if len(missing) == 1 else "are"
        yield Finding(f"{names} {verb} not installed", Level.WRONG, fix)
    for group in needed:
        for name in _installed(group, found.packages)[:1]:
            yield _package(name, found.packages[name], pinned, fix)


def _ask_interpreter(python: str) -> _Interpreter:
    """Return version and packages of an interpreter, or raise _InterpreterError."""
    try:
        done = subprocess.run(  # noqa: S603 - the project's own Python
            [python, "-c", _VERSIONS], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise _InterpreterError(done.stderr.strip()[-300:])
        answer = json.loads(done.stdout)
    except (OSError, ValueError) as error:
        raise _InterpreterError(str(error)) from error
    return _Interpreter(tuple(answer["python"]), answer["packages"])


def _installed(group: Sequence[str], found: Mapping[str, str]) -> list[str]:
    return [name for name in group if name in found]


def _package(name: str, version: str, pinned: Mapping[str, str], fix: str) -> Finding:
    tested = pinned.get(name, version)
    if version == tested:
        return Finding(f"{name} {version}")
    text = f"{name} {version}, while the project was tested with {tested}"
    return Finding(text, Level.NOTE, fix)


def pinned(constraints: Path) -> dict[str, str]:
    """Return the package versions of a constraints file, which the project was tested with."""
    if not constraints.exists():
        return {}
    text = constraints.read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pins}


def examine_ports(
    ports: Sequence[tuple[str, int, str]], own_pids: Sequence[int]
) -> Iterator[Finding]:
    """Check that every port is free or used by the running instance."""
    for host, port, option in ports:
        problem = port_problem(host, port)
        if problem is None:
            yield Finding(f"port {port} on {host} is free")
        elif problem.pids & set(own_pids):
            yield Finding(f"port {port} on {host} is used by the running instance")
        else:
            fix = f"stop that process, or choose another port with {option}"
            yield Finding(f"port {port} on {host} {problem}", Level.WRONG, fix)


def examine_check(spec: ChildSpec, fix: str) -> Finding:
    """Run the check of a child."""
    problem = Check(spec).wait()
    if problem:
        return Finding(f"{spec.name} would not start: {problem}", Level.WRONG, fix)
    return Finding(f"{spec.name} would start with these settings")


def examine_disk(folder: Path) -> Iterator[Finding]:
    """Check that the folder can be written and that the disk has room for logs and models."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        fix = "make this user its owner with chown, or choose another folder with --run-dir"
        yield Finding(f"{existing} cannot be written", Level.WRONG, fix)
    free = shutil.disk_usage(existing).free
    text = f"{free / 1024**3:.1f} GiB free at {existing}"
    if free >= _MIN_FREE_BYTES:
        yield Finding(text)
    else:
        yield Finding(text, Level.WRONG, "free some disk space: at least 1 GiB is needed")
