"""Memory is returned after large requests; measured on a server process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from model_server.malloc_trim import is_due
from tests.model_server.harness import TOY_SERVER, Client, in_threads, server_process
from tests.model_server.toy import write_version
from tests.waiting import eventually

MIB = 1 << 20


@pytest.mark.parametrize(
    ("since_trim", "since_check", "seconds", "due"),
    [
        pytest.param(0, 0, 60, False, id="nothing freed"),
        pytest.param(MIB - 1, 0, 60, False, id="too little"),
        pytest.param(MIB, 0, 1, True, id="quiet"),
        pytest.param(MIB, 20_000, 1, True, id="nothing but health checks"),
        pytest.param(16 * MIB, MIB, 9, False, id="busy"),
        pytest.param(16 * MIB, MIB, 10, True, id="busy for long"),
        pytest.param(1024 * MIB, MIB, 1, True, id="very busy"),
    ],
)
def test_when_the_heaps_are_trimmed(
    since_trim: int, since_check: int, seconds: float, due: bool
) -> None:
    assert is_due(since_trim, since_check, seconds) is due


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


def _post(client: Client, body: bytes) -> None:
    client.call("POST", "/v1/models/m:predict", body)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and malloc_trim is glibc's")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"instances": [' + b"0.5," * (2 * MIB) + b"1]}", id="numbers"),
        pytest.param(b'{"instances": [' + b'"x",' * (2 * MIB) + b"1]}", id="strings"),
        pytest.param(b'{"instances": [' + b"[]," * (5 * MIB) + b"1]}", id="lists"),
        pytest.param(b" " * (60 * MIB), id="blanks"),
    ],
)
def test_memory_is_returned_after_large_bodies(tmp_path: Path, body: bytes) -> None:
    write_version(tmp_path / "m", 1, plus=2)
    flags = ("--model_name=m", f"--model_base_path={tmp_path / 'm'}")

    with server_process(TOY_SERVER, tmp_path / "log", *flags) as process:
        process.client.predict("m", {"instances": [1.0]})
        before = resident(process.child.pid)
        with in_threads(3, lambda _: _post(process.client, body)):
            pass
        assert eventually(lambda: resident(process.child.pid) < before + 48 * MIB)
