"""A disk that becomes full: servers go on, and say what they could not write."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.usage import children
from tests.resilience.form import FORM
from tests.resilience.outcome import under_all_loads
from tests.resilience.results import record
from tests.resilience.stand import NO_DEADLINE, Gateway, Stand, running_stand
from tests.small_disk import small_disk
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def stand(engine: str, exports: Path, tmp_path: Path) -> Iterator[Stand]:
    """Servers that write to a disk of their own, which can be filled."""
    with (
        small_disk(tmp_path / "disk") as disk,
        running_stand(engine, exports, tmp_path, disk, **NO_DEADLINE) as stand,
    ):
        yield stand


def lost_records(stand: Stand) -> int:
    """The records that the request log could not write, as the model server counts them."""
    text = stand.serving.client.get("/metrics").body.decode()
    found = re.search(r'request_log_count\{[^}]*code="UNKNOWN"[^}]*\} (\d+)', text)
    return int(found[1]) if found else 0


def sizes_of_logs(stand: Stand) -> dict[str, int]:
    """The bytes in each file of the request log."""
    files = (stand.disk.path / "requests").glob("*.tfrecord")
    return {file.name: size for file in files if (size := file.stat().st_size)}


def replace_worker(gateway: Gateway) -> None:
    """Let a gateway start another worker."""
    worker = gateway.worker
    os.kill(worker, signal.SIGTERM)
    assert eventually(lambda: children(gateway.pid) not in ([], [worker]))


def test_a_full_disk_fails_no_request(stand: Stand) -> None:
    """Workers have been started on it, and a version is swapped; no file can grow."""

    def act() -> None:
        stand.publisher.newest(2)
        assert eventually(lambda: stand.available == [2])
        assert eventually(lambda: lost_records(stand) > 0)
        time.sleep(FORM.fault_s)

    with stand.disk.full():
        for gateway in stand.gateways:
            replace_worker(gateway)
        found = under_all_loads(stand.gateways, act)

    for gateway, each in zip(stand.gateways, found, strict=True):
        row = {"engine": stand.engine, "protocol": gateway.protocol, **each.row()}
        record("resource", fault="disk full, with new workers and a version swap", **row)
        assert (each.problems, each.wrong, each.lost) == ({}, [], [])
    before, lost = sizes_of_logs(stand), lost_records(stand)
    with stand.gateways[0].load().running():
        written = eventually(lambda: bool(sizes_of_logs(stand).items() - before.items()))
    assert written
    assert lost_records(stand) == lost
