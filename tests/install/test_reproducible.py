"""The same source gives the same bytes, wherever and however it is built."""

from __future__ import annotations

import gzip
import os
import tarfile
from pathlib import Path

import pytest

from release import archives
from tests.install.conftest import EPOCH, Built, copy_source


def test_a_second_build_gives_the_same_bytes(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder, umask, mode of files, time zone, language and hash seed."""
    source, folder = tmp_path / "a" / "longer" / "path", tmp_path / "dist"
    before = os.umask(0o077)
    try:
        copy_source(source)
        folder.mkdir()
        for path in source.rglob("*"):
            path.chmod(path.stat().st_mode & 0o700)
            os.utime(path, (1, 1))
        for name, value in (("TZ", "Asia/Tokyo"), ("LC_ALL", "C"), ("PYTHONHASHSEED", "7")):
            monkeypatch.setenv(name, value)
        sdist, wheel = archives.build(source, folder, EPOCH)
    finally:
        os.umask(before)

    assert sdist.read_bytes() == built.sdist.read_bytes()
    assert wheel.read_bytes() == built.wheel.read_bytes()


def test_the_sdist_has_one_time_and_no_owner(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        members = sdist.getmembers()

    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(EPOCH, 0, 0, "", "")}
    assert {m.mode for m in members} <= {0o644, 0o755}
    assert [m.name for m in members] == sorted(m.name for m in members)
    with gzip.open(built.sdist) as file:
        file.read(1)
        assert file.mtime == EPOCH
