"""Publish numbered version folders as a polling server wants to find them: whole or not at all.

Nothing here knows what is inside a version. A caller can rely on two promises: a folder that exists
is never written to, and two publishers at once get two numbers.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: TensorFlow Serving takes every child whose name is a number for a version, plain files included.
_VERSION = re.compile(r"[0-9]+")
#: No server takes this for a version.
_DRAFT = ".draft-"
#: A draft that nobody has touched for a day belongs to a process that was killed.
_ABANDONED_S = 24 * 60 * 60.0


@contextmanager
def new_version(base_path: Path) -> Iterator[Draft]:
    """Give a draft to fill; it becomes the next version when the block ends without an error."""
    base_path.mkdir(parents=True, exist_ok=True)
    _sweep(base_path)
    draft = Draft(base_path)
    draft.folder.mkdir()
    try:
        yield draft
        draft.publish()
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


class Draft:
    """A version in the making: fill ``folder``; ``published`` is where it went."""

    def __init__(self, base_path: Path) -> None:
        self.folder = base_path / f"{_DRAFT}{uuid.uuid4().hex}"
        self.published = self.folder

    def publish(self) -> None:
        """Move the draft to the next number that nobody has taken."""
        while self.published == self.folder:
            target = self.folder.parent / str(newest_version(self.folder.parent) + 1)
            try:
                self.published = self.folder.rename(target)
            except OSError:
                # Onto a folder with content a rename fails: somebody else took the number.
                if not target.exists():
                    raise


def _sweep(base_path: Path) -> None:
    """Remove what killed processes have left behind."""
    for draft in base_path.glob(f"{_DRAFT}*"):
        with suppress(FileNotFoundError):  # it has just been published
            if time.time() - draft.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(draft, ignore_errors=True)


def versions(base_path: Path) -> list[int]:
    """Return the version numbers in a base path, ascending; none where the folder is missing."""
    if not base_path.is_dir():
        return []
    return sorted({int(path.name) for path in base_path.iterdir() if _VERSION.fullmatch(path.name)})


def newest_version(base_path: Path) -> int:
    """Return the biggest version number, 0 when there is none."""
    return max(versions(base_path), default=0)
