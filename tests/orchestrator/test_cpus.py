from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.cpus import usable_cpus


@pytest.mark.parametrize(("quota", "most"), [("50000 100000", 1), ("100000 100000", 1)])
def test_a_containers_quota_counts(tmp_path: Path, quota: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert usable_cpus(tmp_path / "cpu.max") == most


@pytest.mark.parametrize("quota", ["max 100000", "9900000 100000", "nonsense"])
def test_without_a_narrower_quota_the_machine_counts(tmp_path: Path, quota: str) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert usable_cpus(tmp_path / "cpu.max") == len(os.sched_getaffinity(0))


def test_without_cgroups_the_machine_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "absent") == len(os.sched_getaffinity(0))
