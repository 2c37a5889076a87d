from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_catalog.request_logs import file_name, log_files
from model_server.request_log.log_files import LogFiles, LogLimits

LIMITS = LogLimits(max_file_bytes=100, max_total_bytes=300)
THEN = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)


def contents(prefix: str) -> list[bytes]:
    return [path.read_bytes() for path in log_files(prefix)]


def test_records_go_into_one_file_until_it_would_be_too_large(tmp_path: Path) -> None:
    prefix = str(tmp_path / "new" / "m")
    files = LogFiles(prefix, LIMITS)

    for letter in (b"a", b"b", b"c"):
        files.write(letter * 50)
    files.close()
    files.write(b"d")
    files.close()

    assert contents(prefix) == [b"a" * 50 + b"b" * 50, b"c" * 50, b"d"]
    assert {path.stat().st_mode & 0o777 for path in log_files(prefix)} == {0o600}


def test_the_oldest_files_are_deleted(tmp_path: Path) -> None:
    prefix, files = str(tmp_path / "m"), LogFiles(str(tmp_path / "m"), LIMITS)

    for number in range(9):
        files.write(bytes([number]) * 90)
    files.close()

    assert [content[0] for content in contents(prefix)] == [6, 7, 8]


def test_a_file_that_goes_while_the_oldest_are_deleted_costs_no_record(tmp_path: Path) -> None:
    gone = tmp_path / file_name("m", THEN, 1)
    gone.symlink_to(tmp_path / "moved elsewhere")
    files = LogFiles(str(tmp_path / "m"), LIMITS)

    files.write(b"new")
    files.close()

    gone.unlink()
    assert contents(str(tmp_path / "m")) == [b"new"]


def test_files_keep_their_order_when_the_clock_is_set_back(tmp_path: Path) -> None:
    prefix = str(tmp_path / "m")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    (tmp_path / file_name("m", tomorrow, 1)).write_bytes(b"before")
    files = LogFiles(prefix, LIMITS)

    for letter in (b"a", b"b"):
        files.write(letter * 60)
    files.close()

    assert contents(prefix) == [b"before", b"a" * 60, b"b" * 60]


def test_only_files_of_the_same_prefix_are_deleted(tmp_path: Path) -> None:
    old = THEN - timedelta(days=1)
    others = [
        file_name("m-2", old, 1),
        file_name("", old, 1),
        "m.tfrecord",
        f"{file_name('m', old, 1)}.gz",
    ]
    own = file_name("m", old, 1)
    for name in (*others, own):
        (tmp_path / name).write_bytes(bytes(1000))
    files = LogFiles(str(tmp_path / "m"), LIMITS)

    files.write(b"new")
    files.close()

    assert all((tmp_path / name).exists() for name in others)
    assert not (tmp_path / own).exists()


def test_a_prefix_may_be_a_folder(tmp_path: Path) -> None:
    prefix = f"{tmp_path}/logs/"
    files = LogFiles(prefix, LIMITS)

    files.write(b"a")
    files.close()

    assert [path.parent for path in log_files(prefix)] == [tmp_path / "logs"]
    assert log_files(str(tmp_path / "none" / "m")) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse to write beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_record_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    prefix = str(tmp_path / "m")
    files = LogFiles(prefix, LIMITS)
    files.write(b"first")

    for _ in range(3):
        with largest_file(20), pytest.raises(OSError, match="File too large"):
            files.write(b"x" * 30)
    files.write(b"last")
    files.close()

    assert contents(prefix) == [b"first", b"last"]


def test_after_somebody_deleted_the_file_a_new_one_starts(tmp_path: Path) -> None:
    prefix = str(tmp_path / "m")
    files = LogFiles(prefix, LIMITS)
    files.write(b"first")

    log_files(prefix)[0].unlink()
    files.write(b"second")
    files.close()

    assert contents(prefix) == [b"second"]
