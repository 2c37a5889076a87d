"""Name, find and read the request log files of the embedded model server.

They are TFRecord files of PredictionLogs. A TFRecord is a header (8 bytes of length, 4 bytes of
checksum), the data, and a footer (4 bytes of checksum).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_STAMP: Final = "%Y%m%dT%H%M%S.%fZ"
_STAMP_PATTERN: Final = r"\d{8}T\d{6}\.\d{6}Z"
_SUFFIX: Final = ".tfrecord"
_LENGTH: Final = 8
_HEADER: Final = 12
_FOOTER: Final = 4


def folder_and_stem(prefix: str) -> tuple[Path, str]:
    """Return the folder of the files with a prefix, and what their names start with.

    The stem is empty if the prefix is a folder, with a slash at its end.
    """
    folder, stem = os.path.split(prefix)
    return Path(folder), stem


def file_name(stem: str, now: datetime, pid: int) -> str:
    """Return the name of a log file; the names of one stem sort by time."""
    start = f"{stem}-" if stem else ""
    return f"{start}{now.strftime(_STAMP)}-{pid}{_SUFFIX}"


def log_files(prefix: str) -> list[Path]:
    """Return the log files with a prefix, the oldest first."""
    folder, stem = folder_and_stem(prefix)
    start = f"{re.escape(stem)}-" if stem else ""
    pattern = re.compile(rf"{start}{_STAMP_PATTERN}-\d+{re.escape(_SUFFIX)}")
    with suppress(FileNotFoundError):
        found = [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.name)
    return []


def next_start(prefix: str, now: datetime) -> datetime:
    """Return the time for the name of a new log file, by which it sorts after the others.

    That is now, or just after the newest file where the clock has been set back.
    """
    files = log_files(prefix)
    if not files:
        return now
    found = re.findall(_STAMP_PATTERN, files[-1].name)
    try:
        newest = datetime.strptime(found[-1], _STAMP).replace(tzinfo=UTC)
        return max(now, newest + timedelta(microseconds=1))
    except (ValueError, OverflowError):  # a file of somebody else, with no date in its name
        return now


def whole_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each record with its header and footer, and its data alone.

    Ends before a record that is not whole yet: the server may be writing it.
    """
    start = 0
    while start + _HEADER + _FOOTER <= len(data):
        length = int.from_bytes(data[start : start + _LENGTH], "little")
        end = start + _HEADER + length + _FOOTER
        if end > len(data):
            return
        record = data[start:end]
        yield record, record_data(record)
        start = end


def record_data(record: bytes) -> bytes:
    """Return the data of a record without its header and footer."""
    return record[_HEADER:-_FOOTER]
