"""Write messages for the user: plain lines and, on a terminal, one progress line in place."""

from __future__ import annotations

import sys
import time
from typing import Protocol

_ERASE_LINE = "\r\033[K"
_MAX_WIDTH = 100


class Stream(Protocol):
    """The part of a text stream that a console uses."""

    def write(self, text: str, /) -> object:
        """Write the text."""

    def flush(self) -> None:
        """Pass buffered text on."""

    def isatty(self) -> bool:
        """Tell whether the stream is a terminal."""


class Console:
    """Writes messages to a stream, standard output by default; write errors are ignored."""

    def __init__(self, stream: Stream | None = None) -> None:
        self._stream: Stream = stream or sys.stdout
        self._on_terminal = self._stream.isatty()
        self._line_is_open = False
        self._last_progress = ""

    def print(self, line: str) -> None:
        """Write one line."""
        self._write(f"{self._erased()}{line}\n")

    def log(self, line: str) -> None:
        """Write one line; unless the stream is a terminal, it starts with date and time."""
        self.print(line if self._on_terminal else f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")

    def progress(self, line: str, elapsed_s: float) -> None:
        """Show what is being waited for.

        A terminal gets one line that is overwritten by each call; any other stream gets a new
        line whenever the text has changed.
        """
        if self._on_terminal:
            self._write(f"{self._erased()}{elapsed_s:.0f} s: {line}"[:_MAX_WIDTH])
            self._line_is_open = True
        elif line != self._last_progress:
            self.log(f"waiting: {line}")
        self._last_progress = line

    def prompt(self, text: str) -> None:
        """Write a prompt without a line end, on a terminal only."""
        if self._on_terminal:
            self._write(f"{self._erased()}{text}")
            self._line_is_open = True

    def _erased(self) -> str:
        """Return what erases an open progress line or prompt."""
        was_open, self._line_is_open = self._line_is_open, False
        return _ERASE_LINE if was_open else ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a closed terminal or a full disk must not end the children
            return
