"""Look for what would keep children from working: interpreter, packages, ports, disk, folders.

A finding says what was found and, where something is wrong, the exact fix.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.check import Check
from orchestrator.child import ChildSpec
from orchestrator.console import Console
from orchestrator.ports import problem

_LEAST_FREE_BYTES = 1024**3
_VERSIONS = """
import importlib.metadata as m, json, sys
found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in m.distributions()}
print(json.dumps({"python": list(sys.version_info[:3]), "packages": found}))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``fix`` is empty when it is well."""

    text: str
    fix: str = ""
    grave: bool = True
    """Whether it keeps the children from working; else it is worth knowing only."""


def report(findings: Sequence[Finding], console: Console) -> int:
    """Say every finding with its fix; exit code 1 when one of them is grave."""
    for finding in findings:
        mark = "ok" if not finding.fix else "WRONG" if finding.grave else "note"
        console.print(f"{mark:6}{finding.text}")
        if finding.fix:
            console.print(f"{'':6}fix: {finding.fix}")
    wrong = [finding for finding in findings if finding.fix and finding.grave]
    console.print(f"{len(wrong)} of {len(findings)} checks found something wrong")
    return 1 if wrong else 0


def examine_python(
    python: str, needed: Sequence[Sequence[str]], pinned: Mapping[str, str], fix: str
) -> Iterator[Finding]:
    """Check the children's Python and its packages; of each group one package is enough."""
    found = _ask_python(python)
    if isinstance(found, str):
        yield Finding(f"{python} does not run: {found}", fix)
        return
    version = ".".join(map(str, found["python"]))
    fine = (3, 11) <= tuple(found["python"][:2]) <= (3, 13)
    yield Finding(f"Python {version} ({python})", "" if fine else "use Python 3.11 to 3.13")
    for group in needed:
        yield _package(group, found["packages"], pinned, fix)


def _ask_python(python: str) -> dict[str, Any] | str:
    """Return version and packages of an interpreter, or why it does not say."""
    try:
        done = subprocess.run(  # noqa: S603 - the project's own Python
            [python, "-c", _VERSIONS], capture_output=True, text=True, check=False
        )
        return dict(json.loads(done.stdout)) if done.returncode == 0 else done.stderr.strip()[-300:]
    except (OSError, ValueError) as error:
        return str(error)


def _package(
    group: Sequence[str], found: Mapping[str, str], pinned: Mapping[str, str], fix: str
) -> Finding:
    name = next((name for name in group if name in found), None)
    if name is None:
        return Finding(f"{' or '.join(group)} is not installed", fix)
    wanted = pinned.get(name, found[name])
    if found[name] == wanted:
        return Finding(f"{name} {found[name]}")
    return Finding(f"{name} {found[name]}, tested is {wanted}", fix, grave=False)


def pinned(constraints: Path) -> dict[str, str]:
    """Return the versions that the project was tested with, from its constraints file."""
    if not constraints.exists():
        return {}
    text = constraints.read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pins}


def examine_ports(ports: Sequence[tuple[str, int, str]], own: Sequence[int]) -> Iterator[Finding]:
    """Check that every port is free or taken by an instance of ours."""
    for host, port, option in ports:
        reason = problem(host, port)
        if not reason:
            yield Finding(f"port {port} on {host} is free")
        elif any(f"PID {pid} " in reason for pid in own):
            yield Finding(f"port {port} on {host} is ours: it {reason}")
        else:
            yield Finding(
                f"port {port} on {host} {reason}", f"stop it, or choose another: {option}"
            )


def examine_check(spec: ChildSpec, fix: str) -> Finding:
    """Check with a child's own check that it would start."""
    said = Check(spec).wait()
    if said:
        return Finding(f"{spec.name} would not start: {said}", fix)
    return Finding(f"{spec.name} would start with these settings")


def examine_disk(folder: Path) -> Iterator[Finding]:
    """Check that the folder can be written and that there is room for logs and models."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Finding(
            f"{existing} cannot be written",
            "chown it to this user, or choose another with --run-dir",
        )
    free = shutil.disk_usage(existing).free
    text = f"{free / 1024**3:.1f} GiB free at {existing}"
    yield Finding(text, "" if free >= _LEAST_FREE_BYTES else "free some disk space: 1 GiB at least")
