from __future__ import annotations

import socket
from pathlib import Path

import pytest

from orchestrator.notify import VARIABLE, notify


def test_systemd_hears_the_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))

        notify("READY=1")

        assert ear.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/no/such/socket", "@no such name"])
def test_nobody_listening_is_fine(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, address)

    notify("READY=1")
