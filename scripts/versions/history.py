"""Remember which versions were promoted, so that they can be rolled back one after the other.

``models.history.json`` lies beside the models file. For each model and label it has the versions
that the present one replaced, oldest first; the label "" stands for requests that
name no version label.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from scripts import atomic_file
from scripts.errors import ScriptError

_MAX = 50


class History:
    """The replaced versions of all models of one models file."""

    def __init__(self, models_file: Path) -> None:
        self.path = models_file.absolute().with_name(f"{models_file.stem}.history.json")

    def replaced(self, model: str, label: str | None) -> list[int]:
        """Return the versions that were replaced, oldest first."""
        return list(self._read().get(model, {}).get(label or "", []))

    def add(self, model: str, label: str | None, version: int) -> None:
        """Note that a version was replaced."""
        self._set(model, label, [*self.replaced(model, label), version][-_MAX:])

    def cut(self, model: str, label: str | None, version: int) -> None:
        """Forget the last note of this version and what came after it; without one, nothing."""
        versions = self.replaced(model, label)
        if version in versions:
            while versions.pop() != version:
                pass
            self._set(model, label, versions)

    def clear(self, model: str, label: str | None) -> None:
        """Forget all notes of a label."""
        self._set(model, label, [])

    def last(self, model: str) -> set[int]:
        """Return the version that a rollback of each label of the model leads to."""
        return {versions[-1] for versions in self._read().get(model, {}).values() if versions}

    def _read(self) -> dict[str, dict[str, list[int]]]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ScriptError(
                f"{self.path} is no history of versions: {error}; remove it."
            ) from error
        return found if isinstance(found, dict) else {}

    def _set(self, model: str, label: str | None, versions: list[int]) -> None:
        document = self._read()
        document.setdefault(model, {})[label or ""] = versions
        atomic_file.write_text(self.path, [json.dumps(document, indent=2) + "\n"])


def rollback_target(
    replaced: list[int], present: int | None, on_disk: Collection[int]
) -> int | None:
    """Return the last replaced version that still exists, else the next lower one, else None."""
    for version in reversed(replaced):
        if version in on_disk and version != present:
            return version
    lower = [version for version in on_disk if present is not None and version < present]
    return max(lower, default=None)
