"""Say why a virtual environment must be made anew; the Makefile asks before each command.

    python3 scripts/check_environment.py .venv

prints the reason, or nothing for an environment that can be used and for a missing one. Only the
files of the environment are read. Needs Python 3.7 or newer and no package.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Print the reason, if there is one; exit codes 0 done, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        description="Say why a virtual environment must be made anew; print nothing if it is fine."
    )
    parser.add_argument("environment", type=Path, metavar="FOLDER")
    found = reason(parser.parse_args(argv).environment)
    if found:
        print(found)
    return 0


def reason(environment: Path) -> str:
    """Return why the environment cannot be used any more; empty if it can, or is not there."""
    if not os.path.lexists(str(environment)):
        return ""
    settings = _settings(environment / "pyvenv.cfg")
    python = environment / "bin" / "python"
    if not settings or not os.path.lexists(str(python)):
        return "it is not complete"
    if not os.access(str(python), os.X_OK):
        return "its Python, {}, is gone".format(settings.get("home", "of another folder"))
    made_in = _made_in(settings)
    # Not abspath: the environment, or a folder above it, may be a symbolic link.
    if made_in and os.path.realpath(made_in) != os.path.realpath(str(environment)):
        return f"it was made for {made_in}; its programs do not run from another folder"
    return _other_version(environment, settings)


def _settings(file: Path) -> dict[str, str]:
    """Return the lines ``key = value`` of the file, an empty dict without one."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = [line.partition("=") for line in lines]
    return {key.strip(): value.strip() for key, _, value in pairs}


def _made_in(settings: dict[str, str]) -> str:
    """Return the folder in the command that made the environment; empty if none is noted."""
    _, _, words = settings.get("command", "").partition(" -m venv ")
    options = words.split("/")[0]  # Python notes the folder with its whole path
    return words[len(options) :]


def _other_version(environment: Path, settings: dict[str, str]) -> str:
    """Return the reason if the system's Python is another one now, which reads no old packages."""
    now = os.path.realpath(str(environment / "bin" / "python"))
    name = os.path.basename(now)
    before = ".".join(settings.get("version", settings.get("version_info", "")).split(".")[:2])
    if name.startswith("python3.") and before and name != "python" + before:
        return f"it was made with Python {before}, and its Python is now {name[len('python') :]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
