"""Tell the user of an action what it does."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Write a line to the standard output."""
    sys.stdout.write(f"{text}\n")
