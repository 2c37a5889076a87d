"""Tell a person what happens: lines for everybody, one moving line for a terminal."""

from __future__ import annotations

import sys
import time
from typing import Protocol

_CLEAR = "\r\033[K"
_WIDTH = 100


class Stream(Protocol):
    """Where a voice is heard."""

    def write(self, text: str, /) -> object:
        """Write the text."""

    def flush(self) -> None:
        """Make it visible now."""

    def isatty(self) -> bool:
        """Tell whether a person watches."""


class Voice:
    """Writes whole lines; on a terminal also a line that is overwritten while something lasts."""

    def __init__(self, stream: Stream | None = None) -> None:
        self._stream: Stream = stream or sys.stdout
        self._on_terminal = self._stream.isatty()
        self._moving = False
        self._waiting_for = ""

    def say(self, line: str) -> None:
        """Write one line."""
        self._write(f"{self._cleared()}{line}\n")

    def log(self, line: str) -> None:
        """Write one line with the time in front where no terminal shows it as it happens."""
        self.say(line if self._on_terminal else f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")

    def progress(self, line: str, elapsed_s: float) -> None:
        """Show what is being waited for: over and over on a terminal, each change in a log."""
        if self._on_terminal:
            self._write(f"{self._cleared()}{elapsed_s:.0f} s: {line}"[:_WIDTH])
            self._moving = True
        elif line != self._waiting_for:
            self.log(f"waiting: {line}")
        self._waiting_for = line

    def ask(self, prompt: str) -> None:
        """Write a prompt and stay behind it; only a terminal shows it."""
        if self._on_terminal:
            self._write(f"{self._cleared()}{prompt}")
            self._moving = True

    def _cleared(self) -> str:
        moving, self._moving = self._moving, False
        return _CLEAR if moving else ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone or the disk is full: the work goes on
            return
