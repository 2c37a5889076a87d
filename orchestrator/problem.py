"""The result of a probe or check that did not pass; None stands for a passed one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """The reason why a probe or check did not pass, as text for the user."""

    text: str

    def __str__(self) -> str:
        return self.text
