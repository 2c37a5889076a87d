"""The time of day jumps while clients send requests.

``tests/test_clocks.py`` checks in the sources that nothing but texts depends on it.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.resilience.form import FORM, long
from tests.resilience.outcome import under_all_loads
from tests.resilience.results import record
from tests.resilience.stand import NO_DEADLINE, Gateway, Stand, running_stand
from tests.waiting import eventually

pytestmark = [long, pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

HOUR_S = 3600
SOURCE = Path(__file__).with_name("jumping_clock.c")


class Offset:
    """The seconds by which the time of day of the servers is wrong."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_bytes(bytes(8))

    def set(self, seconds: int) -> None:
        """Let the clock jump; the servers have mapped the file."""
        with self.file.open("r+b", buffering=0) as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture(scope="module")
def offset(tmp_path_factory: pytest.TempPathFactory) -> Offset:
    return Offset(tmp_path_factory.mktemp("clock") / "offset")


@pytest.fixture(scope="module")
def servers(
    exports: Path, offset: Offset, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """Servers whose time of day is that of the machine plus the offset."""
    folder = tmp_path_factory.mktemp("jumping")
    library = folder / "jumping_clock.so"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE)], check=True)
    environ = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(offset.file), **NO_DEADLINE}
    with running_stand("openvino", exports, folder, **environ) as stand:
        yield stand


def offset_s(gateway: Gateway) -> float:
    """Return by how many seconds the time of day of a gateway is wrong."""
    with urllib.request.urlopen(f"{gateway.url}/healthz", timeout=60) as response:
        told = parsedate_to_datetime(response.headers["Date"])
    return told.timestamp() - time.time()


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_jump_of_the_clock_fails_no_request(servers: Stand, offset: Offset, jump_s: int) -> None:
    """A version is swapped after the jump, so polls and loads go on."""

    offsets: list[float] = []

    def act() -> None:
        offset.set(jump_s)
        time.sleep(FORM.fault_s)
        offsets.extend(map(offset_s, servers.gateways))
        servers.publisher.newest(2)
        assert eventually(lambda: servers.available == [2])

    try:
        found = under_all_loads(servers.gateways, act)
    finally:
        offset.set(0)
        servers.restore()

    assert offsets == [pytest.approx(jump_s, abs=60)] * len(servers.gateways)
    for gateway, each in zip(servers.gateways, found, strict=True):
        row = {"engine": servers.engine, "protocol": gateway.protocol, **each.row()}
        record("resource", fault=f"clock jumps by {jump_s:+} s", **row)
        assert (each.wrong, each.lost) == ([], [])
        assert sum(each.problems.values()) <= FORM.clients  # those that a call over gRPC had begun
