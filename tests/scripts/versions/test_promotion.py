"""What a promotion and a rollback mean for versions and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_catalog.model_entry import ModelEntry
from scripts.errors import ScriptError
from scripts.versions.history import History, rollback_target
from scripts.versions.promotion import promotion
from scripts.versions.pruning import references, removable, remove, remove_leftovers


def entry(versions: Any = "latest", serving_url: str | None = None, **labels: int) -> ModelEntry:
    return ModelEntry(
        name="m",
        base_path=Path("m"),
        versions=versions,
        version_labels=labels,
        serving_url=serving_url,
    )


@pytest.mark.parametrize(
    ("present", "wanted", "on_disk", "versions", "before"),
    [
        (entry(), 2, {1, 2}, "latest", 2),
        (entry(), 1, {1, 2}, (1,), 2),
        (entry((1,)), 2, {1, 2, 3}, (2,), 1),
        (entry((1,)), "latest", {1, 2, 3}, "latest", 1),
        (entry((1,), stable=1), "latest", {1, 3}, (1, 3), 1),
        (entry("all"), 2, {1, 2, 3}, (2,), 3),
        (entry((1, 2), stable=1), 2, {1, 2}, (1, 2), 2),
        (entry((7,)), 2, {2}, (2,), None),
    ],
)
def test_requests_without_a_label_get_the_version(
    present: ModelEntry, wanted: int | str, on_disk: set[int], versions: Any, before: int | None
) -> None:
    made = promotion(present, wanted, None, on_disk)

    assert (made.versions, made.before) == (versions, before)
    assert made.labels == present.version_labels


def test_a_split_decides_on_requests_without_a_label() -> None:
    split = replace(entry((1,), stable=1), split={"stable": 95, "canary": 5})

    assert promotion(split, 2, "canary", {1, 2}).note == ""
    assert promotion(split, 1, None, {1, 2}).note == (
        "split divides the requests without a label; it stays as it is"
    )


@pytest.mark.parametrize(
    ("present", "version", "on_disk", "versions", "labels"),
    [
        (entry((1,), stable=1), 2, {1, 2}, (1, 2), {"stable": 2}),
        (entry((1, 2), stable=2), 1, {1, 2}, (1, 2), {"stable": 1}),
        (entry("all", stable=1), 2, {1, 2}, "all", {"stable": 2}),
        (entry(), 2, {1, 2}, "latest", {"stable": 2}),
        (entry(), 1, {1, 2}, (1, 2), {"stable": 1}),
        (entry((2,), other=2), 1, {1, 2}, (1, 2), {"other": 2, "stable": 1}),
    ],
)
def test_a_label_moves_and_its_version_is_served(
    present: ModelEntry, version: int, on_disk: set[int], versions: Any, labels: dict[str, int]
) -> None:
    made = promotion(present, version, "stable", on_disk)

    assert (made.versions, made.labels) == (versions, labels)


def test_a_label_on_a_newer_version_than_served_is_noted() -> None:
    assert "requests without a label get version 2 too" in (
        promotion(entry((1,)), 2, "canary", {1, 2}).note
    )
    assert "list now" in promotion(entry(), 1, "stable", {1, 2}).note


@pytest.mark.parametrize(
    ("present", "version", "label", "told"),
    [
        (entry(), 9, None, r"has no version 9; there are 1, 2, 3\."),
        (entry((1, 3), canary=3), 2, None, "Label canary names version 3"),
        (entry(serving_url="http://h:1"), 1, None, "is served by http://h:1"),
    ],
)
def test_what_cannot_be_is_told(
    present: ModelEntry, version: int, label: str | None, told: str
) -> None:
    with pytest.raises(ScriptError, match=told):
        promotion(present, version, label, {1, 2, 3})


def test_rollbacks_lead_through_the_promotions_backwards(tmp_path: Path) -> None:
    history = History(tmp_path / "models.toml")
    for replaced in (1, 4, 2):
        history.add("m", "stable", replaced)
    history.add("m", None, 7)
    on_disk = {1, 2, 3, 4}

    path = []
    present = 3
    while (found := rollback_target(history.replaced("m", "stable"), present, on_disk)) is not None:
        history.cut("m", "stable", found)
        path.append(found)
        present = found

    assert path == [2, 4, 1]
    assert history.last("m") == {7}
    assert history.path.name == "models.history.json"


def test_a_version_that_was_never_noted_leaves_the_notes_as_they_are(tmp_path: Path) -> None:
    history = History(tmp_path / "models.toml")
    for replaced in (1, 4, 2):
        history.add("m", "stable", replaced)

    history.cut("m", "stable", 9)
    assert history.replaced("m", "stable") == [1, 4, 2]
    history.cut("m", "stable", 4)
    assert history.replaced("m", "stable") == [1]


@pytest.mark.parametrize(
    ("replaced", "present", "on_disk", "target"),
    [
        ([1, 9], 3, {1, 3}, 1),  # version 9 is gone
        ([], 3, {1, 2, 3, 4}, 2),
        ([3], 3, {2, 3}, 2),
        ([], 1, {1, 2}, None),
        ([], None, {1}, None),
    ],
)
def test_without_a_usable_promotion_a_rollback_leads_to_the_next_lower_version(
    replaced: list[int], present: int | None, on_disk: set[int], target: int | None
) -> None:
    assert rollback_target(replaced, present, on_disk) == target


def test_a_broken_history_is_told(tmp_path: Path) -> None:
    history = History(tmp_path / "models.toml")
    history.path.write_text("{")

    with pytest.raises(ScriptError, match="is no history of versions"):
        history.replaced("m", None)


def test_versions_that_something_refers_to_are_kept() -> None:
    on_disk = set(range(1, 9))
    entries = [entry((2,), stable=3), entry((4, 20))]

    kept = references(entries, on_disk, loaded={5}, rollback={6})

    assert set(kept) == {2, 3, 4, 5, 6, 8, 20}
    assert kept[3] == "label stable of model m names it"
    assert kept[8] == "it is the newest one"
    assert removable(on_disk, kept, 0) == [1, 7]
    assert removable(on_disk, kept, 1) == [1]
    assert removable(on_disk, references([entry("all")], on_disk, loaded=(), rollback=()), 0) == []


def test_a_removed_version_takes_its_files_along_but_not_what_a_link_leads_to(
    tmp_path: Path,
) -> None:
    base_path, elsewhere = tmp_path / "m", tmp_path / "elsewhere"
    for folder in (base_path / "1", elsewhere):
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").touch()
    (base_path / "2").symlink_to(elsewhere)
    (base_path / ".pruned-1").mkdir()

    remove(base_path, 1)
    remove(base_path, 2)
    remove_leftovers(base_path)

    assert list(base_path.iterdir()) == []
    assert (elsewhere / "saved_model.pb").exists()
