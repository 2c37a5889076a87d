"""Keep compiled models between starts: a folder per version folder and content, swept by itself.

Knows no engine. A caller can rely on one promise: two models never share an entry, even where one
has taken the other's place in the same folder.
"""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Tells in each entry which version folder it was made for.
_SOURCE_FILE: Final = "made_for"


def folder_for(cache: Path, version: Path) -> Path:
    """Return the folder for what is compiled from a version folder, made if it is missing."""
    folder = cache / _fingerprint(version)
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / _SOURCE_FILE
    if not source.is_file():  # what came with a read-only disk is used as it is
        source.write_text(str(version.resolve()), encoding="utf-8")
    return folder


def remove_outdated(cache: Path, current: Path) -> None:
    """Delete the entries of versions that are gone, and older contents of the current entry's."""
    with suppress(OSError):  # another server may be sweeping
        version = (current / _SOURCE_FILE).read_text(encoding="utf-8")
        for source in cache.glob(f"*/{_SOURCE_FILE}"):
            made_for = source.read_text(encoding="utf-8")
            is_old = made_for == version and source.parent != current
            if is_old or not Path(made_for).is_dir():
                shutil.rmtree(source.parent, ignore_errors=True)


def _fingerprint(version: Path) -> str:
    """Tell versions apart by all of their content: a damaged file may be mended at its place."""
    digest = hashlib.sha256(str(version.resolve()).encode())
    for path in (version / "saved_model.pb", *sorted((version / "variables").iterdir())):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]
