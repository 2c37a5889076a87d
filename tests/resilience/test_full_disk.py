"""A disk that becomes full: servers go on, and say what they could not write."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from tests.attack.usage import children
from tests.model_server.harness import eventually
from tests.resilience.form import FORM
from tests.resilience.outcome import under_all_loads
from tests.resilience.results import record
from tests.resilience.stand import Gateway, Stand

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]


def lost_records(stand: Stand) -> int:
    """The records that the request log could not write, as the model server counts them."""
    text = stand.serving.client.get("/metrics").body.decode()
    found = re.search(r'request_log_count\{[^}]*code="UNKNOWN"[^}]*\} (\d+)', text)
    return int(found[1]) if found else 0


def replace_worker(gateway: Gateway) -> None:
    """Let a gateway start another worker."""
    worker = gateway.worker
    os.kill(worker, signal.SIGTERM)
    assert eventually(lambda: children(gateway.pid) not in ([], [worker]), 30)


def test_a_full_disk_fails_no_request(calm: Stand) -> None:
    """Workers have been started on it, and a version is swapped; no file can grow."""

    def act() -> None:
        calm.publisher.newest(2)
        assert eventually(lambda: calm.available == [2], 60)
        assert eventually(lambda: lost_records(calm) > 0)
        time.sleep(FORM.fault_s)

    with calm.disk.full():
        for gateway in calm.gateways:
            replace_worker(gateway)
        found = under_all_loads(calm.gateways, act)

    for gateway, each in zip(calm.gateways, found, strict=True):
        row = {"engine": calm.engine, "protocol": gateway.protocol, **each.row()}
        record("resource", fault="disk full, with new workers and a version swap", **row)
        assert (each.problems, each.wrong, each.lost) == ({}, [], [])
    lost = lost_records(calm)
    with calm.gateways[0].load().running():
        written = eventually(lambda: any((calm.disk.path / "requests").glob("*.tfrecord")))
    assert written
    assert lost_records(calm) == lost
