"""Publish numbered version folders atomically, so that a polling server never reads half of one.

Nothing here knows what is inside a version. A caller can rely on two promises: an existing version
is never written to, and two concurrent publishers get two numbers.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model_catalog.folders import version_folders
from model_catalog.model_entry import BIGGEST_VERSION
from scripts.errors import ScriptError

#: Prefix of folders that are not published yet; no server takes them for versions.
_DRAFT = ".draft-"
#: A draft that has not changed for a day belongs to a process that was killed.
_ABANDONED_S = 24 * 60 * 60.0


@contextmanager
def new_version(base_path: Path) -> Iterator[Draft]:
    """Yield a draft to fill; it becomes the next version when the block ends without an error."""
    base_path.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_drafts(base_path)
    draft = Draft(base_path)
    draft.folder.mkdir()
    try:
        yield draft
        draft.publish()
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


class Draft:
    """A version that is being written into ``folder``; ``published`` is its final folder."""

    def __init__(self, base_path: Path) -> None:
        self.folder = base_path / f"{_DRAFT}{uuid.uuid4().hex}"
        self._published: Path | None = None

    @property
    def published(self) -> Path:
        """The folder of the version; an error before it is published."""
        if self._published is None:
            raise RuntimeError(f"{self.folder} is not published yet.")
        return self._published

    def publish(self) -> None:
        """Rename the draft to the next free version number; raise ScriptError if there is none."""
        while self._published is None:
            version = newest_version(self.folder.parent) + 1
            if version > BIGGEST_VERSION:
                raise ScriptError(
                    f"{self.folder.parent} has version {BIGGEST_VERSION}; model servers take no"
                    " higher one, so no further version can be published there."
                )
            target = self.folder.parent / str(version)
            try:
                self._published = self.folder.rename(target)
            except OSError:
                # A rename onto a folder with content fails: another process took the number.
                if not target.exists():
                    raise


def _remove_abandoned_drafts(base_path: Path) -> None:
    """Remove the drafts of killed processes."""
    for draft in base_path.glob(f"{_DRAFT}*"):
        with suppress(FileNotFoundError):  # published in the meantime
            if time.time() - draft.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(draft, ignore_errors=True)


def versions(base_path: Path) -> list[int]:
    """Return the version numbers in a base path, ascending; none where the folder is missing.

    Plain files count too, as they do for a server.
    """
    return sorted(version_folders(base_path)) if base_path.is_dir() else []


def newest_version(base_path: Path) -> int:
    """Return the highest version number, 0 when there is none."""
    return max(versions(base_path), default=0)
