"""A fault of a model in a folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something wrong with a model; ``fix`` says how to repair it, as a command where possible."""

    text: str
    fix: str
    is_error: bool = True
    """Whether a version cannot be served; otherwise the fault is a note."""
