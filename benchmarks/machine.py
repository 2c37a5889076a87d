"""Describe the machine and the software that the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.figures import Json
from benchmarks.own_system import CPUS
from benchmarks.processes import ROOT
from benchmarks.processor_kinds import known_flags

PACKAGES = (
    *("tensorflow-cpu", "tensorflow", "openvino", "nncf", "flask", "gunicorn"),
    *("numpy", "pillow", "cykooz.resizer", "orjson", "pybase64"),
)


def describe() -> Json:
    """Return the machine, the versions and the commit."""
    model, flags = _processor()
    return {
        "processor": model,
        "cores": CPUS,
        "features": known_flags(flags),
        "system": " ".join((platform.system(), *platform.libc_ver())),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "commit": _commit(),
    }


def now() -> str:
    """Return the time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_average() -> float:
    """Return the load average of the last minute; other processes disturb the figures."""
    return os.getloadavg()[0]


def _processor() -> tuple[str, list[str]]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    return facts.get("model name", platform.machine()), facts.get("flags", "").split()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
