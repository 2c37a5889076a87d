"""A test that lacks a package is skipped without a network only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pip_download import Unreachable, wheel
from tests.running import free_port


def test_an_index_that_does_not_answer_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")

    with pytest.raises(Unreachable):
        wheel("fer==25.10.3", tmp_path)


def test_a_version_that_does_not_exist_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(AssertionError, match="No matching distribution found for fer==0"):
        wheel("fer==0", tmp_path)
