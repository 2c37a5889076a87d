"""Hand over to the project's own Python when this one is too old, and refuse Windows.

This module itself runs on any Python 3: no newer syntax, no import beyond the oldest stdlib.
"""

from __future__ import annotations

import os
import sys

OLDEST = (3, 11)
WINDOWS = (
    "auto_cmd.py needs Linux or macOS (process groups, signals and file locks of Unix): "
    "on Windows run it inside WSL 2, or start both servers by hand as docs/auto_cmd.md shows."
)


def hand_over(argv: list[str]) -> None:
    """Replace this process by the project's Python, or exit with one sentence and code 2."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    own = os.path.join(root, ".venv", "bin", "python")
    reason = refusal(sys.platform, sys.version_info[:2], has_own=os.path.exists(own))
    if reason:
        sys.stderr.write(reason + "\n")
        raise SystemExit(2)
    os.execv(own, [own, *argv])  # noqa: S606 - no shell is wanted


def refusal(platform: str, version: tuple[int, ...], *, has_own: bool) -> str:
    """Return why auto_cmd cannot run here; empty when it or the project's Python can."""
    if platform == "win32":
        return WINDOWS
    if version >= OLDEST or has_own:
        return ""
    received = ".".join(map(str, version))
    return f"auto_cmd.py needs Python 3.11 or newer, this is {received}: call a newer one."
