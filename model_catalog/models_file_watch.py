"""Read the models file again whenever it changes, and keep the last valid one.

A file counts as changed once its time or size differ from those that were read last and have stayed
the same for two polls, so that a file that is being written is not read half. Nothing here waits:
the caller polls.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from model_catalog.errors import CatalogError
from model_catalog.model_entry import ModelEntry
from model_catalog.models_file import ModelsFile, load_models_file

_Stamp = tuple[int, int, int] | None


class ModelsFileWatch:
    """The last valid content of a models file; for one thread."""

    def __init__(
        self, models: ModelsFile, check: Callable[[ModelsFile], None] = lambda _: None
    ) -> None:
        """Begin with these models; ``check`` raises CatalogError for a file that is not to be used.

        The file is read once by the first polls, since it may have changed after it was loaded.
        """
        self.models = models
        """The models of the last valid file."""

        self.problem: str | None = None
        """Why the present file is not used; None when it is."""

        self.problem_for_clients: str | None = None
        """The same without addresses of model servers and places outside the file's folder."""

        self._check = check
        self._read: _Stamp = None
        self._seen: _Stamp = None
        self._was_read = False

    def accept(self, models: ModelsFile) -> None:
        """Use the models of a file that the caller has loaded."""
        self.models, self.problem, self.problem_for_clients = models, None, None

    def poll(self) -> bool:
        """Read the file if it has changed; return whether ``models`` or ``problem`` are new."""
        stamp = _stamp(self.models.path)
        is_settled, self._seen = stamp == self._seen, stamp
        is_known = self._was_read and stamp == self._read
        # A file with a problem is read again: the missing folder or label file may be there now.
        if not is_settled or (is_known and self.problem is None):
            return False
        before = self.models, self.problem
        try:
            models = load_models_file(self.models.path)
            self._check(models)
        except CatalogError as error:
            self.problem, self.problem_for_clients = str(error), error.for_clients
        else:
            self.accept(models)
        self._read, self._was_read = stamp, True
        return before != (self.models, self.problem)


def _stamp(path: Path) -> _Stamp:
    """Return what changes with the content of a file; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def require_folders_here(before: ModelsFile) -> Callable[[ModelsFile], None]:
    """Return a check that refuses missing model folders where those of ``before`` are all there.

    On a machine without the model folders, which only the gateway runs on, nothing is refused.
    """
    try:
        before.require_folders()
    except CatalogError:
        return lambda _: None
    return ModelsFile.require_folders


def changes(before: ModelsFile, after: ModelsFile) -> Iterator[str]:
    """Describe the difference between two models files, one text per model."""
    old = {entry.name: entry for entry in before.entries}
    new = {entry.name: entry for entry in after.entries}
    yield from (f"model {name} removed" for name in old if name not in new)
    for name, entry in new.items():
        if name not in old:
            yield f"model {name} added"
        elif texts := list(_entry_changes(old[name], entry)):
            yield f"model {name}: {', '.join(texts)}"
    if before.default.name != after.default.name:
        yield f"{after.default.name} is the default model"


def _entry_changes(old: ModelEntry, new: ModelEntry) -> Iterator[str]:
    if old.versions != new.versions:
        yield f"versions {_text(new.versions)}"
    yield from _label_changes(old.version_labels, new.version_labels)
    for key in ("base_path", "serving_url"):
        if getattr(old, key) != getattr(new, key):
            yield f"{key} {getattr(new, key) or 'removed'}"
    for key in ("split", "shadow"):
        if getattr(old, key) != getattr(new, key):
            yield f"{key} {_shares(getattr(new, key))}"
    if old.logging != new.logging:
        yield "request logging " + ("removed" if new.logging is None else "changed")
    named = {"versions", "version_labels", "base_path", "serving_url", "logging", "split", "shadow"}
    others = [f.name for f in fields(ModelEntry) if f.name not in named]
    if any(getattr(old, key) != getattr(new, key) for key in others):
        yield "another description"


def _shares(shares: Mapping[str, float]) -> str:
    return " ".join(f"{label}={share:g}" for label, share in shares.items()) or "removed"


def _label_changes(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[str]:
    for label in sorted(old.keys() | new.keys()):
        to = new.get(label)
        if to is None:
            yield f"label {label} removed"
        elif to != old.get(label):
            yield f"label {label} to version {to}"


def _text(versions: str | tuple[int, ...]) -> str:
    return versions if isinstance(versions, str) else ", ".join(map(str, versions))
