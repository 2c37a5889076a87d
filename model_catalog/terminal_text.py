"""Text for terminals."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with escapes for what could change a terminal, as in names of files."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
