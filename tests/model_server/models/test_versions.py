from __future__ import annotations

from pathlib import Path

import pytest

from model_server.models.versions import All, Latest, Policy, Specific, numbered, versions_on_disk


def test_only_names_that_are_numbers_are_versions() -> None:
    names = ["1", "00000123", "20170111173521", " 5", "tmp", "2.denied", "0x4", "1e3", "-1", ""]

    assert sorted(numbered(names)) == [1, 5, 123, 20170111173521]


@pytest.mark.parametrize(("name", "found"), [(str(2**63 - 1), True), (str(2**63), False)])
def test_versions_have_63_bits(name: str, found: bool) -> None:
    assert bool(numbered([name])) is found


def test_of_one_number_spelt_twice_one_counts() -> None:
    assert list(numbered(["1", "001"])) == [1]


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (Latest(), {3}),
        (Latest(0), {3}),
        (Latest(2), {2, 3}),
        (Latest(9), {1, 2, 3}),
        (All(), {1, 2, 3}),
        (Specific(frozenset({1, 3, 8})), {1, 3}),
        (Specific(frozenset()), set()),
    ],
)
def test_policies(policy: Policy, chosen: set[int]) -> None:
    assert policy.choose([2, 3, 1]) == chosen


def test_files_with_such_names_count_too(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "9").write_text("")
    (tmp_path / "README").write_text("")

    assert versions_on_disk(tmp_path) == {1: tmp_path / "1", 9: tmp_path / "9"}


def test_a_missing_base_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        versions_on_disk(tmp_path / "nowhere")
