"""Decide which versions and labels a promotion leads to; nothing here reads or writes files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from model_catalog.model_entry import ModelEntry
from scripts.errors import ScriptError

Versions = str | tuple[int, ...]
NEWEST = "latest"


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """The values that make a version the one of a label, or the one without a label."""

    version: int
    before: int | None
    """The version that it replaces; None if there was none."""

    versions: Versions
    labels: dict[str, int]
    note: str = ""
    """A consequence that a user may not expect."""

    @property
    def values(self) -> dict[str, Any]:
        """The keys of the models file."""
        labels = {"version_labels": self.labels} if self.labels else {}
        return {"versions": self.versions} | labels


def served(entry: ModelEntry, on_disk: Collection[int]) -> set[int]:
    """Return the versions that the entry lets Serving serve."""
    if entry.versions == "all":
        return set(on_disk)
    if isinstance(entry.versions, str):
        return {max(on_disk)} if on_disk else set()
    return set(entry.versions) & set(on_disk)


def current(entry: ModelEntry, label: str | None, on_disk: Collection[int]) -> int | None:
    """Return the version of a label, or the one that requests without a label get."""
    if label is not None:
        return entry.version_labels.get(label)
    return max(served(entry, on_disk), default=None)


def promotion(
    entry: ModelEntry, wanted: int | str, label: str | None, on_disk: Collection[int]
) -> Promotion:
    """Return what makes ``wanted``, a number or ``latest``, the version of the label.

    Without a label, requests that name none get the version. Raises ScriptError where that cannot
    be.
    """
    if entry.serving_url is not None:
        raise ScriptError(
            f"Model {entry.name} is served by {entry.serving_url}, whose own configuration decides "
            "on its versions; change it there."
        )
    version = max(on_disk, default=0) if wanted == NEWEST else wanted
    if version not in on_disk:
        there = ", ".join(map(str, sorted(on_disk))) or "none"
        raise ScriptError(
            f"{entry.base_path} has no version {version}; there are {there}. "
            "scripts/export_saved_model.py writes the next one."
        )
    if label is not None:
        return _labelled(entry, int(version), label, on_disk)
    return _unlabelled(entry, int(version), on_disk, follows=wanted == NEWEST)


def _labelled(entry: ModelEntry, version: int, label: str, on_disk: Collection[int]) -> Promotion:
    labels = dict(entry.version_labels) | {label: version}
    default = current(entry, None, on_disk)
    wanted = served(entry, on_disk) | set(labels.values()) & set(on_disk)
    note = ""
    if entry.versions == "all" or wanted <= served(entry, on_disk):
        versions: Versions = entry.versions
    else:
        versions = tuple(sorted(wanted | set(listed(entry))))
        if default is not None and version > default and not entry.split:
            note = f"requests without a label get version {version} too, as it is the newest one"
        elif entry.versions == "latest":
            note = "versions is a list now, so that a later export is served once it is promoted"
    return Promotion(
        version=version,
        before=entry.version_labels.get(label),
        versions=versions,
        labels=labels,
        note=note,
    )


def _unlabelled(
    entry: ModelEntry, version: int, on_disk: Collection[int], *, follows: bool
) -> Promotion:
    labels = dict(entry.version_labels)
    newer = {label: number for label, number in labels.items() if number > version}
    if newer:
        label, number = max(newer.items(), key=lambda item: item[1])
        raise ScriptError(
            f"Label {label} names version {number}, and requests without a label get the newest "
            f"version that is served. Move the label to {version} or lower first (promote "
            f"{entry.name} {version} --label {label}), or name the label to promote with --label."
        )
    wanted = {version} | set(labels.values()) & set(on_disk)
    is_newest = version == max(on_disk) and wanted == {version}
    if is_newest and (follows or entry.versions == "latest"):
        versions: Versions = "latest"
    else:
        versions = tuple(sorted(wanted))
    freezes = isinstance(entry.versions, str) and not isinstance(versions, str)
    return Promotion(
        version=version,
        before=current(entry, None, on_disk),
        versions=versions,
        labels=labels,
        note=_note(entry, freezes=freezes),
    )


def _note(entry: ModelEntry, *, freezes: bool) -> str:
    if entry.split:
        return "split divides the requests without a label; it stays as it is"
    if freezes:
        return "versions is a list now, so that a later export is served once it is promoted"
    return ""


def listed(entry: ModelEntry) -> tuple[int, ...]:
    """Return the versions that the entry lists by number."""
    return () if isinstance(entry.versions, str) else entry.versions
