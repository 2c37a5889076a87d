from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.mmap_dict import MmapedDict

from flask_server.telemetry import metrics_directory
from flask_server.telemetry.metrics_files import ReservedFile
from tests.resource_limits import full_disk, needs_prlimit

INITIAL = 1 << 16
KEYS = [
    f'["metric", "metric", {{"label": "{"x" * 400}{number}"}}, "help"]' for number in range(300)
]


def opened(path: Path) -> Any:
    """Return the file; its library has no types."""
    return ReservedFile(str(path))


def filled(path: Path, keys: list[str]) -> Any:
    file = opened(path)
    for number, key in enumerate(keys):
        file.write_value(key, float(number), 0.0)
    return file


def content(path: Path) -> dict[str, float]:
    """What other processes read."""
    read = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return {key: value for key, value, _, _ in read}


def test_other_processes_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"

    filled(path, KEYS).close()

    assert content(path) == {key: float(number) for number, key in enumerate(KEYS)}


def test_a_file_has_no_holes(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"

    filled(path, KEYS).close()

    found = path.stat()
    assert found.st_size > INITIAL
    assert found.st_blocks * 512 >= found.st_size


def test_an_earlier_file_of_the_same_pid_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    filled(path, KEYS).close()

    file = opened(path)

    assert file.read_value(KEYS[7]) == (7.0, 0.0)
    file.close()


@needs_prlimit
def test_a_worker_counts_in_memory_where_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"

    with full_disk():
        file = filled(path, KEYS)

    assert file.read_value(KEYS[-1]) == (len(KEYS) - 1, 0.0)
    assert not path.exists()
    file.close()


@needs_prlimit
def test_a_file_that_cannot_grow_goes_on_in_memory_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"

    with full_disk(size=INITIAL):
        file = filled(path, KEYS)
    before = content(path)
    for key in (f"{key} again" for key in KEYS):
        file.write_value(key, 1.0, 0.0)

    assert 0 < len(before) < len(KEYS)
    assert content(path).keys() >= set(KEYS)
    file.close()


def test_without_a_directory_each_worker_counts_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    environ = {metrics_directory.VARIABLE: "of another run"}

    metrics_directory.try_to_make(environ)

    assert not metrics_directory.shared(environ)
    assert os.listdir(tmp_path) == []
