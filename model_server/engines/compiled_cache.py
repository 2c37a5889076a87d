"""Manage the folders in which an engine caches compiled models between starts.

The key of an entry is the path of the version folder and the content of its files, so two models
never share an entry, even if one has replaced the other in the same folder. Outdated entries are
removed. Knows no engine.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from model_catalog import quantization
from model_catalog.graph_files import DESCRIPTION, graph_file_of

#: The file in each entry that holds the path of its version folder.
_SOURCE_FILE: Final = "made_for"


def folder_for(cache: Path, version: Path) -> Path:
    """Return the cache folder of a version folder, created if it is missing.

    Raises OSError if the cache or the version cannot be used.
    """
    folder = cache / _fingerprint(version)
    folder.mkdir(parents=True, exist_ok=True)
    source, made_for = folder / _SOURCE_FILE, str(version.resolve())
    # Writing only when needed lets a complete cache be read-only; a full disk may have cut it off.
    if not source.is_file() or source.read_text(encoding="utf-8", errors="replace") != made_for:
        source.write_text(made_for, encoding="utf-8")
    return folder


def remove_outdated(cache: Path, current: Path) -> None:
    """Delete entries of deleted version folders, and older entries of the current version."""
    with suppress(OSError):  # another server may delete at the same time
        version = (current / _SOURCE_FILE).read_text(encoding="utf-8", errors="replace")
        for source in cache.glob(f"*/{_SOURCE_FILE}"):
            made_for = source.read_text(encoding="utf-8", errors="replace")
            is_old = made_for == version and source.parent != current
            if is_old or not Path(made_for).is_dir():
                shutil.rmtree(source.parent, ignore_errors=True)


def _fingerprint(version: Path) -> str:
    """Hash path and content: a damaged file may have been replaced under the same name."""
    digest = hashlib.sha256(str(version.resolve()).encode())
    for path in _files(version):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def _files(version: Path) -> Sequence[Path]:
    graph_file = graph_file_of(version)
    if graph_file is not None:
        return graph_file, version / DESCRIPTION
    int8 = (version / quantization.GRAPH_FILE, version / quantization.WEIGHTS_FILE)
    return (
        version / "saved_model.pb",
        *sorted((version / "variables").iterdir()),
        *filter(Path.is_file, int8),
    )
