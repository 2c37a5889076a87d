"""Write records into files of limited size, and delete the oldest files.

Only the writer's thread uses a ``LogFiles``. Files can be read while they grow: each record is
written at once, and a record that could not be written whole is cut off.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from model_catalog.request_logs import file_name, folder_and_stem, log_files, next_start

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
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
        if self._size + len(record) > self._limits.max_file_bytes or self._is_deleted():
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

    def _is_deleted(self) -> bool:
        """Tell whether somebody has deleted the file, which would hide what is written."""
        return self._file is not None and not os.fstat(self._file).st_nlink

    def close(self) -> None:
        """Close the file; the next record starts a new one."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
        self._file, self._size = None, 0

    def _open(self) -> int:
        folder, stem = folder_and_stem(self._prefix)
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        limits = self._limits
        _delete_oldest(self._prefix, limits.max_total_bytes - limits.max_file_bytes)
        start = next_start(self._prefix, datetime.now(UTC))
        self._path = folder / file_name(stem, start, os.getpid())
        return os.open(self._path, _FLAGS, _FILE_MODE)


def _delete_oldest(prefix: str, max_bytes: int) -> None:
    """Delete the oldest files until the others have at most ``max_bytes``."""
    sizes: dict[Path, int] = {}
    for path in log_files(prefix):
        with suppress(FileNotFoundError):  # another program may move old files elsewhere
            sizes[path] = path.stat().st_size
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
