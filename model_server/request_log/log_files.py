"""Write records into files of limited size, and delete the oldest files.

Only the writer's thread uses a ``LogFiles``. Files can be read while they grow: each record is
written at once, and a record that could not be written whole is cut off.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
_STAMP_PATTERN: Final = r"\d{8}T\d{6}\.\d{6}Z"
_SUFFIX: Final = ".tfrecord"
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLimits:
    """Limits of the files with one prefix."""

    max_file_bytes: int = 64 << 20
    """Size that a file does not exceed; a record that would exceed it goes into a new file."""

    max_total_bytes: int = 1 << 30
    """Size of all files together; the oldest ones are deleted."""


class LogFiles:
    """The log files with one prefix, of which the newest one grows."""

    def __init__(self, prefix: str, limits: LogLimits) -> None:
        self._prefix = prefix
        self._limits = limits
        self._file: int | None = None
        self._path = Path()
        self._size = 0

    def write(self, record: bytes) -> None:
        """Append a record, or raise OSError; then the files have nothing of it."""
        if self._size + len(record) > self._limits.max_file_bytes:
            self.close()
        if self._file is None:
            self._file = self._open()
        try:
            _write_all(self._file, record)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
                if not self._size:  # a full disk should not leave an empty file for each record
                    self._path.unlink()
            self.close()
            raise
        self._size += len(record)

    def close(self) -> None:
        """Close the file; the next record starts a new one."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
        self._file, self._size = None, 0

    def _open(self) -> int:
        folder = Path(self._prefix).parent if _stem(self._prefix) else Path(self._prefix)
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        limits = self._limits
        _delete_oldest(self._prefix, limits.max_total_bytes - limits.max_file_bytes)
        self._path = folder / file_name(_stem(self._prefix), datetime.now(UTC), os.getpid())
        return os.open(self._path, _FLAGS, _FILE_MODE)


def file_name(stem: str, now: datetime, pid: int) -> str:
    """Return the name of a log file; the names of one stem sort by time."""
    start = f"{stem}-" if stem else ""
    return f"{start}{now.strftime(_STAMP)}-{pid}{_SUFFIX}"


def log_files(prefix: str) -> list[Path]:
    """Return the log files with a prefix, the oldest first."""
    stem = _stem(prefix)
    start = f"{re.escape(stem)}-" if stem else ""
    pattern = re.compile(rf"{start}{_STAMP_PATTERN}-\d+{re.escape(_SUFFIX)}")
    folder = Path(prefix).parent if stem else Path(prefix)
    with suppress(FileNotFoundError):
        found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.name)
    return []


def _stem(prefix: str) -> str:
    """Return what the file names start with; empty if the prefix is a folder."""
    return os.path.split(prefix)[1]


def _delete_oldest(prefix: str, max_bytes: int) -> None:
    """Delete the oldest files until the others have at most ``max_bytes``."""
    sizes = {path: path.stat().st_size for path in log_files(prefix)}
    total = sum(sizes.values())
    for path, size in sizes.items():
        if total <= max_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
