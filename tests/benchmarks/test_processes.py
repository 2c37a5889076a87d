from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import processes


def test_a_server_that_ends_at_once_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOGS", tmp_path)
    command = ["-c", "raise SystemExit(3)"]

    with (
        pytest.raises(RuntimeError, match="ended with 3"),
        processes.running(command, "http://127.0.0.1:9/"),
    ):
        pass
