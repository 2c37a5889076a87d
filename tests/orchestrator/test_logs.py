from __future__ import annotations

import os
from pathlib import Path, PosixPath

import pytest

from orchestrator.console import Console
from orchestrator.logs import LogStream, RotatingLog, Tail, end_of, last_lines
from tests.resource_limits import full_disk, needs_prlimit


def test_a_log_rotates_before_it_grows_over_the_limit(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", max_bytes=10)

    for word in (b"12345", b"67890", b"abc"):
        log.write(word)

    assert (tmp_path / "a.log").read_bytes() == b"abc"
    assert (tmp_path / "a.log.1").read_bytes() == b"1234567890"


def test_old_logs_are_kept_up_to_a_number(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", max_bytes=1, kept=2)

    for word in (b"1", b"2", b"3", b"4"):
        log.write(word)

    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {"a.log": b"4", "a.log.1": b"3", "a.log.2": b"2"}


def test_a_write_larger_than_the_limit_is_not_lost(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", max_bytes=4)

    log.write(b"longer than four")

    assert (tmp_path / "a.log").read_bytes() == b"longer than four"


def test_what_a_full_disk_refuses_is_reported_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.symlink_to("/dev/full")
    log = RotatingLog(path)
    log.write(b"lost")
    log.write(b"lost too")
    path.unlink()

    log.write(b"kept\n")

    assert path.read_text() == "[12 bytes of log were dropped: No space left on device]\nkept\n"


@needs_prlimit
def test_the_rest_of_a_line_that_fills_the_disk_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = RotatingLog(path)

    with full_disk(size=6):
        log.write(b"whole, cut\n")
    log.write(b"kept\n")

    assert path.read_text() == "whole,[5 bytes of log were dropped: File too large]\nkept\n"


@pytest.mark.parametrize(("count", "lines"), [(0, []), (1, ["c"]), (2, ["b", "c"]), (9, [*"abc"])])
def test_last_lines(tmp_path: Path, count: int, lines: list[str]) -> None:
    (tmp_path / "a.log").write_text("a\nb\nc\n")

    assert last_lines(tmp_path / "a.log", count) == lines


def test_last_lines_since_a_position(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    nothing = end_of(path)
    path.write_text("old\nhalf")
    here = end_of(path)
    assert last_lines(path, 9, here) == []

    with path.open("a") as file:
        file.write(" a line\nnew\n")

    assert last_lines(path, 9, here) == [" a line", "new"]
    assert last_lines(path, 1, here) == ["new"]
    assert last_lines(path, 9, nothing) == ["old", "half a line", "new"]


def test_last_lines_since_a_position_in_a_log_that_has_rotated(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", max_bytes=8)
    log.write(b"old\n")
    here = end_of(log.path)
    log.write(b"more\n")
    log.write(b"a\nb\nc\n")

    assert last_lines(log.path, 9, here) == [*"abc"]


def test_an_absent_log_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "a.log", 5) == []


def test_a_tail_gives_the_end_first_and_then_what_is_added(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("a\nb\n")
    with Tail(path, 1) as tail:
        assert tail.lines() == ["b"]

        with path.open("a") as file:
            file.write("c\nhalf a l")

        assert tail.lines() == ["c"]
        assert tail.lines() == []


def test_a_tail_follows_across_a_rotation(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", max_bytes=4)
    log.write(b"a\n")
    with Tail(tmp_path / "a.log", 0) as tail:
        log.write(b"b\n")
        log.write(b"c\n")

        assert tail.lines() == ["b", "c"]


class RotatesWhenAsked(PosixPath):
    """The path of a log that gets a line and rotates just before somebody asks for its state."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        with open(self, "a") as log:
            log.write("late\n")
        os.rename(self, f"{self}.1")
        Path(self).write_text("new\n")
        return super().stat(follow_symlinks=follow_symlinks)


def test_a_tail_loses_no_line_that_is_written_just_before_a_rotation(tmp_path: Path) -> None:
    path = RotatesWhenAsked(tmp_path / "a.log")
    Path(path).write_text("")
    with Tail(path, 0) as tail:
        assert tail.lines() == ["late", "new"]


def test_a_tail_waits_for_a_log_that_does_not_exist_yet(tmp_path: Path) -> None:
    with Tail(tmp_path / "a.log", 5) as tail:
        assert tail.lines() == []

        (tmp_path / "a.log").write_text("first\n")

        assert tail.lines() == ["first"]


def test_a_console_can_write_to_a_rotating_log(tmp_path: Path) -> None:
    console = Console(LogStream(RotatingLog(tmp_path / "a.log", max_bytes=10)))

    console.print("ready")
    console.print("stopping")

    assert (tmp_path / "a.log.1").read_text() == "ready\n"
    assert (tmp_path / "a.log").read_text() == "stopping\n"
