from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_catalog.request_logs import file_name, log_files, whole_records

THEN = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)


@pytest.mark.parametrize("stem", ["m", ""])
def test_names_sort_by_time(stem: str) -> None:
    names = [file_name(stem, THEN + timedelta(microseconds=step), 10 - step) for step in range(3)]

    assert sorted(names) == names
    assert names[0].endswith("20260102T030405.000006Z-10.tfrecord")


@pytest.mark.parametrize(("prefix", "stem"), [("m", "m"), ("m-2", "m-2"), ("", ""), ("m.*", "m.*")])
def test_the_files_of_a_prefix_are_found_in_order(tmp_path: Path, prefix: str, stem: str) -> None:
    for start in ("m", "m-2", "", "m.*"):
        for step in (1, 0):
            (tmp_path / file_name(start, THEN + timedelta(seconds=step), 1)).touch()
    (tmp_path / "m.tfrecord").touch()

    found = log_files(f"{tmp_path}/{prefix}")

    assert [path.name for path in found] == [
        file_name(stem, THEN + timedelta(seconds=step), 1) for step in (0, 1)
    ]


def record(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little") + b"head" + data + b"foot"


@pytest.mark.parametrize("cut", range(len(record(b"last"))))
def test_records_are_read_up_to_one_that_is_not_whole(cut: int) -> None:
    first, empty = record(b"first"), record(b"")

    found = list(whole_records(first + empty + record(b"last")[:cut]))

    assert found == [(first, b"first"), (empty, b"")]
