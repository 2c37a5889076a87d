"""Run auto_cmd.py with the project's Python when the running one is too old; refuse Windows.

This module must run on Python 3.7: it uses no newer syntax and only the standard library.
"""

from __future__ import annotations

import os
import sys

OLDEST = (3, 11)
WINDOWS = (
    "This program needs Linux or macOS (process groups, signals and file locks of Unix): "
    "on Windows run it inside WSL 2, or start both servers by hand as docs/auto_cmd.md shows."
)


def hand_over(argv: list[str]) -> None:
    """Replace this process by the project's Python, or print why not and exit with code 2."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = os.path.join(root, ".venv")
    own = os.path.join(environment, "bin", "python")
    # Otherwise a .venv of an old Python would hand over to itself for ever.
    is_other = os.path.realpath(sys.prefix) != os.path.realpath(environment)
    has_own = is_other and os.path.exists(own)
    reason = refusal(sys.platform, sys.version_info[:2], has_own=has_own)
    if reason:
        sys.stderr.write(reason + "\n")
        raise SystemExit(2)
    os.execv(own, [own, *argv])  # noqa: S606 - no shell is wanted  # nosec B606


def refusal(platform: str, version: tuple[int, ...], *, has_own: bool) -> str | None:
    """Return why auto_cmd cannot run here, or None if it can, with this Python or the project's."""
    if platform == "win32":
        return WINDOWS
    if version >= OLDEST or has_own:
        return None
    received = ".".join(map(str, version))
    return f"This program needs Python 3.11 or newer, this is {received}: run it with a newer one."
