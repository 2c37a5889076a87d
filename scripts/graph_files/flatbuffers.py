"""Read tables of a FlatBuffers file, the format of ``.tflite`` files. Pure.

Only what ``tflite_file`` needs: tables, vectors, strings and numbers by the number of their field.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class DamagedFile(ValueError):
    """The bytes are not a valid FlatBuffers file."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table at a position in the file; an absent field has its default value."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> Table:
        """Return the outermost table."""
        return cls(data, _unpacked("<I", data, 0)[0])

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """Return a whole number; ``kind`` is its letter in ``struct``."""
        at = self._field(field)
        return default if at is None else int(_unpacked(f"<{kind}", self.data, at)[0])

    def text(self, field: int) -> str:
        """Return a string, empty where there is none."""
        start, length = self._vector(field)
        return self.data[start : start + length].decode("utf-8", "replace")

    def bytes(self, field: int) -> bytes:
        """Return a vector of bytes."""
        start, length = self._vector(field)
        return self.data[start : start + length]

    def numbers(self, field: int, kind: str) -> Sequence[float]:
        """Return a vector of numbers; ``kind`` is their letter in ``struct``."""
        start, length = self._vector(field)
        return _unpacked(f"<{length}{kind}", self.data, start)

    def table(self, field: int) -> Table | None:
        """Return a table inside this one."""
        at = self._field(field)
        return None if at is None else Table(self.data, self._target(at))

    def tables(self, field: int) -> list[Table]:
        """Return a vector of tables."""
        start, length = self._vector(field)
        return [Table(self.data, self._target(start + 4 * n)) for n in range(length)]

    def _field(self, field: int) -> int | None:
        """Return the position of a field by the table's list of offsets."""
        offsets = self.at - _unpacked("<i", self.data, self.at)[0]
        if offsets < 0:
            raise DamagedFile("a table refers to a place before the file")
        entry = 4 + 2 * field
        if entry >= _unpacked("<H", self.data, offsets)[0]:
            return None
        offset = _unpacked("<H", self.data, offsets + entry)[0]
        return int(self.at + offset) if offset else None

    def _target(self, at: int) -> int:
        return int(at + _unpacked("<I", self.data, at)[0])

    def _vector(self, field: int) -> tuple[int, int]:
        """Return the position of the first element and the number of elements."""
        at = self._field(field)
        if at is None:
            return 0, 0
        start = self._target(at)
        length = int(_unpacked("<I", self.data, start)[0])
        if length > len(self.data):
            raise DamagedFile("a list is longer than the file")
        return start + 4, length


def _unpacked(layout: str, data: bytes, at: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as error:
        raise DamagedFile("the file ends too early") from error
