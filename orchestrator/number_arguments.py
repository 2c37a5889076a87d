"""Parse numbers of the command line; errors name the allowed values."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from decimal import Decimal

MAX_PORT = 65535
#: Sockets wait for 2^31 ms at most, 24 days.
MAX_DEADLINE_S = 2_147_483


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


def seconds_text(number: float) -> str:
    """Return a number as a text that ``seconds`` reads: with all its digits and no exponent."""
    return f"{Decimal(repr(number)).normalize():f}"


def deadline(text: str) -> float:
    """Parse the longest time of a request in seconds."""
    number = seconds(text)
    if number > MAX_DEADLINE_S:
        allowed = f"a number of seconds above 0, at most {MAX_DEADLINE_S}"
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed is {allowed}")
    return number


port = whole_number(1, MAX_PORT)
