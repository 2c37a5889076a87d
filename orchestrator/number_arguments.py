"""Parse numbers of the command line; errors name the allowed values."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

MAX_PORT = 65535


def whole_number(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``least`` to ``most``."""

    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most:
            return int(text)
        allowed = f"a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is {allowed}")

    return parse


def seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text) and float(text) > 0:
        return float(text)
    allowed = "a number of seconds above 0"
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is {allowed}")


port = whole_number(1, MAX_PORT)
