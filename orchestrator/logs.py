"""Write rotating log files, and read their last lines.

Writing never raises, so that a full disk does not disturb a child. Output that cannot be written is
dropped, and the log reports the number of dropped bytes once there is room again.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self

MAX_BYTES = 10 * 1024 * 1024
KEPT = 3


class RotatingLog:
    """A file that becomes ``.1`` when it is full, as ``.1`` becomes ``.2``, up to ``.kept``."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._dropped = 0
        self._reason: str | None = None

    def write(self, data: bytes) -> None:
        """Append ``data``; what cannot be written is dropped and counted."""
        rest = memoryview(data)
        try:
            self._rotate_before(len(data))
            with open(self.path, "ab", buffering=0, opener=_private) as file:
                self._report_dropped(file)
                while rest:
                    rest = rest[file.write(rest) :]
        except OSError as error:
            self._dropped += len(rest)
            self._reason = error.strerror

    def _report_dropped(self, file: FileIO) -> None:
        if self._dropped:
            note = f"[{self._dropped} bytes of log were dropped: {self._reason}]\n".encode()
            while note:  # a disk that becomes full takes the first part only
                note = note[file.write(note) :]
            self._dropped = 0

    def _rotate_before(self, coming: int) -> None:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size == 0 or size + coming <= self._max_bytes:
            return
        for number in range(self._kept, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class LogStream:
    """A rotating log with the methods of a text stream that ``Console`` needs."""

    def __init__(self, log: RotatingLog) -> None:
        self._log = log

    def write(self, text: str) -> None:
        """Append the text."""
        self._log.write(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Do nothing: every write reaches the file at once."""

    def isatty(self) -> bool:
        """Return False: a log is not a terminal."""
        return False


@dataclass(frozen=True)
class LogPosition:
    """A file and an offset in it."""

    inode: int = 0
    size: int = 0


def end_of(path: Path) -> LogPosition:
    """Return the position at which the next line of a log will start."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return LogPosition()
    return LogPosition(found.st_ino, found.st_size)


def last_lines(path: Path, count: int, since: LogPosition | None = None) -> list[str]:
    """Return up to ``count`` last lines of a log, only those after ``since`` where it is given."""
    try:
        with path.open("rb") as file:
            # After a rotation, the whole new file was written later.
            if since and os.fstat(file.fileno()).st_ino == since.inode:
                file.seek(since.size)
            return [line.decode(errors="replace").rstrip("\n") for line in deque(file, count)]
    except FileNotFoundError:
        return []


class Tail:
    """The last lines of a log, followed by those that are added, across rotations."""

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._first = last_lines(path, count)
        self._incomplete = b""
        self._file = self._open()
        if self._file:
            self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def lines(self) -> list[str]:
        """Return the complete lines that are new since the last call."""
        first, self._first = self._first, []
        data = self._incomplete + self._read()
        whole, _, self._incomplete = data.rpartition(b"\n")
        return first + whole.decode(errors="replace").split("\n") if whole else first

    def _read(self) -> bytes:
        # Asked first: what is written before the rotation is still read from the old file.
        rotated = self._rotated()
        data = self._file.read() if self._file else b""
        if not rotated:
            return data
        self._close()
        self._file = self._open()
        return data + (self._file.read() if self._file else b"")

    def _close(self) -> None:
        if self._file:
            self._file.close()

    def _open(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _rotated(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return self._file is None or os.fstat(self._file.fileno()).st_ino != there.st_ino
