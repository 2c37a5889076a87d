"""Keep the numbers of a worker in files whose disk space is reserved.

prometheus_client maps files with holes. When the disk is full, a write into a hole ends the process
with SIGBUS, so every request would end a worker. Here a file gets its space before it is mapped.
Where the disk has none, memory takes its place: the numbers of the worker are then missing in
scrapes until it is replaced.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
from pathlib import Path
from typing import Final

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger(__name__)

_INITIAL_BYTES: Final = 1 << 16
#: An entry has its length, padding, a value and a time beside its key.
_MAX_BYTES_BESIDE_KEY: Final = 4 + 8 + 16
_HEADER: Final = struct.Struct("i4x")


class ReservedFile(MmapedDict):
    """A file of numbers in the format of prometheus_client."""

    def __init__(self, filename: str) -> None:
        """Open or create the file; raise OSError if there can be no such file."""
        self._path = Path(filename)
        self._f = self._path.open("a+b", buffering=0)
        self._positions: dict[str, int] = {}
        self._capacity = max(_INITIAL_BYTES, os.fstat(self._f.fileno()).st_size)
        self._m = self._mapped()
        self._used = _HEADER.unpack_from(self._m)[0]
        if self._used:  # an earlier worker had the same PID
            entries = self._read_all_values()  # type: ignore[no-untyped-call]
            self._positions = {key: position for key, _, _, position in entries}
        else:
            self._used = _HEADER.size
            self._m[: _HEADER.size] = _HEADER.pack(self._used)

    def _init_value(self, key: str) -> None:
        """Add an entry; the file grows here, so that prometheus_client does not make a hole."""
        while self._used + len(key.encode()) + _MAX_BYTES_BESIDE_KEY > self._capacity:
            before, self._capacity = self._m, 2 * self._capacity
            self._m = self._mapped()
            self._m[: self._used] = before[: self._used]
            before.close()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _mapped(self) -> mmap.mmap:
        """Map the file once it has its space, or else memory."""
        try:
            _reserve(self._f.fileno(), self._path, self._capacity)
            return mmap.mmap(self._f.fileno(), self._capacity)
        except OSError as error:
            log.warning("The metrics of this worker are missing: %s", error)
            return mmap.mmap(-1, self._capacity)


def _reserve(file: int, path: Path, size: int) -> None:
    """Fill a file up with zeros; if that fails, it stays as it was, and is deleted if empty."""
    before = os.fstat(file).st_size
    try:
        missing = memoryview(bytes(size - before))
        while missing:
            missing = missing[os.write(file, missing) :]
    except OSError:
        os.ftruncate(file, before)
        if not before:  # scrapes cannot read an empty file
            path.unlink(missing_ok=True)
        raise


def use() -> None:
    """Let prometheus_client keep the numbers of this process in reserved files."""
    values.MmapedDict = ReservedFile  # type: ignore[attr-defined, assignment]
