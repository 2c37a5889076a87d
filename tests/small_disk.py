"""A file system of a few megabytes that a test can fill (Linux, as root)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_MB = 1 << 20


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system."""

    path: Path
    is_mounted: bool = True

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave no space inside the block; skip the test where nothing could be mounted."""
        if not self.is_mounted:
            pytest.skip("a small file system cannot be mounted here")
        filler = self.path / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                for size in (_MB, 4096, 1):
                    _write_until_full(file.fileno(), bytes(size))
            yield
        finally:
            filler.unlink()


def _write_until_full(file: int, data: bytes) -> None:
    try:
        while True:
            os.write(file, data)
    except OSError:
        return


def usual_folder(path: Path) -> SmallDisk:
    """Make a folder on the disk of the machine."""
    path.mkdir()
    return SmallDisk(path, is_mounted=False)


@contextmanager
def small_disk(path: Path, megabytes: int = 16) -> Iterator[SmallDisk]:
    """Mount a file system on a new folder; where that is not allowed, it is a usual folder."""
    usual = usual_folder(path)
    if not sys.platform.startswith("linux") or not _mounted(path, megabytes):
        yield usual
        return
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mounted(path: Path, megabytes: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
