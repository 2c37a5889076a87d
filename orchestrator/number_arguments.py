"""Read numbers from a command line; a bad one is refused with what is allowed."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

BIGGEST_PORT = 65535


def whole(least: int, most: int = 1_000_000) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) and least <= int(text) <= most:
            return int(text)
        allowed = f"a whole number from {least} to {most}"
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is {allowed}")

    return read


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text) and float(text) > 0:
        return float(text)
    allowed = "a number of seconds above 0"
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is {allowed}")


port = whole(1, BIGGEST_PORT)
