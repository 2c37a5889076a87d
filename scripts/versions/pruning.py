"""Find and remove version folders that nothing refers to."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from model_catalog.folders import version_folders
from model_catalog.model_entry import ModelEntry
from scripts.versions.promotion import listed, served

#: Prefix of a folder that is being removed; no server takes it for a version.
REMOVED = ".pruned-"


def references(
    entries: Iterable[ModelEntry],
    on_disk: Collection[int],
    *,
    loaded: Collection[int],
    rollback: Collection[int],
) -> dict[int, str]:
    """Return why versions are kept, by number.

    ``entries`` are the models with this base path, ``loaded`` the versions that Serving has, and
    ``rollback`` those that a rollback leads to.
    """
    reasons: dict[int, str] = dict.fromkeys(rollback, "a rollback leads to it")
    if on_disk:
        reasons[max(on_disk)] = "it is the newest one"
    for entry in entries:
        reasons |= dict.fromkeys(served(entry, on_disk), f"model {entry.name} serves it")
        reasons |= dict.fromkeys(listed(entry), f"the versions of model {entry.name} name it")
        reasons |= {
            number: f"label {label} of model {entry.name} names it"
            for label, number in entry.version_labels.items()
        }
    return reasons | dict.fromkeys(loaded, "Serving has it")


def removable(on_disk: Collection[int], kept: Mapping[int, str], keep_newest: int) -> list[int]:
    """Return the versions without a reason to be kept, except for the newest few."""
    free = sorted(set(on_disk) - kept.keys(), reverse=True)
    return sorted(free[max(0, keep_newest) :])


def remove(base_path: Path, version: int) -> None:
    """Remove a version; no server ever sees half of it."""
    folder = version_folders(base_path)[version]
    aside = base_path / f"{REMOVED}{uuid.uuid4().hex}"
    folder.rename(aside)
    remove_aside(aside)


def remove_aside(aside: Path) -> None:
    """Remove a folder, or a link but not what it leads to."""
    if aside.is_symlink() or not aside.is_dir():
        aside.unlink()
    else:
        shutil.rmtree(aside)


def remove_leftovers(base_path: Path) -> None:
    """Remove what an earlier run that was killed has put aside."""
    for aside in base_path.glob(f"{REMOVED}*"):
        remove_aside(aside)


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
