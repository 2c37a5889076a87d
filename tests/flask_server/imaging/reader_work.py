"""Count what a reader of image files does: lines, copies, memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import flask_server.imaging.files
from flask_server.errors import ImageError

FOLDER = str(Path(flask_server.imaging.files.__file__).parent)


@dataclass(slots=True)
class Work:
    """What reading one file took."""

    lines: int = 0
    """Lines of the readers that were run, each as often as it was."""

    copied: int = 0
    """Bytes of the file that slices and concatenations have copied."""

    inflated: int = 0
    """How many parts of the file were inflated."""

    held: int = 0
    """The most bytes that were held at once."""


class _Counted(bytes):
    """Bytes that note each slice and each concatenation."""

    work: Work

    def _noted(self, content: bytes) -> _Counted:
        self.work.copied += len(content)
        noted = _Counted(content)
        noted.work = self.work
        return noted

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return self._noted(found) if isinstance(found, bytes) else found

    def __add__(self, other: Any) -> Any:
        return self._noted(bytes(self) + bytes(other))

    def __radd__(self, other: Any) -> Any:
        return self._noted(bytes(other) + bytes(self))


def work_of(read: Callable[[bytes], object], data: bytes) -> Work:
    """Return the work of reading the file, whether it is read or refused."""
    work = Work()
    counted = _Counted(data)
    counted.work = work

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        work.lines += event == "line"
        return trace

    def profile(_: FrameType, event: str, called: Any) -> None:
        work.inflated += event == "c_call" and called.__name__ == "decompress"

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        _attempt(read, counted)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    work.held = _held(read, data)
    return work


def _held(read: Callable[[bytes], object], data: bytes) -> int:
    tracemalloc.start()
    try:
        _attempt(read, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _attempt(read: Callable[[bytes], object], data: bytes) -> None:
    with suppress(ImageError):
        read(data)
