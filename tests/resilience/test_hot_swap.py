"""Version swaps and rollbacks under load lose no request and mix no versions."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest

from tests.model_server.harness import eventually
from tests.orchestrator.load import Load
from tests.resilience.form import FORM
from tests.resilience.outcome import outcome
from tests.resilience.results import record
from tests.resilience.stand import Stand
from tests.resilience.versions import swaps

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(900)]

#: A swap takes two polls, a load, and a request of each client.
_SWAP_S = 60.0


def newest(load: Load) -> int:
    """The version of the last response; 0 for a failure."""
    last = load.responses[-1:]
    return int(json.loads(last[0].body).get("version", 0)) if last else 0


def test_versions_are_swapped_without_losing_a_request(calm: Stand) -> None:
    loads = [gateway.load() for gateway in calm.gateways]
    moments: list[float] = []

    with ExitStack() as stack:
        for load in loads:
            stack.enter_context(load.running())
        assert eventually(lambda: all(newest(load) == 1 for load in loads), _SWAP_S)
        for version in swaps(FORM.swaps):
            moments.append(time.monotonic())
            calm.publisher.newest(version)
            swapped = eventually(
                lambda v=version: all(newest(load) == v for load in loads),  # type: ignore[misc]
                _SWAP_S,
            )
            assert swapped, (version, calm.available, calm.serving.log.read_text()[-2000:])

    for gateway, load in zip(calm.gateways, loads, strict=True):
        found = outcome(load, time.monotonic())
        assert (found.problems, found.wrong, found.lost) == ({}, [], [])
        record(
            "swaps",
            engine=calm.engine,
            protocol=gateway.protocol,
            swaps=len(moments),
            connections=FORM.clients,
            moments=[round(moment - moments[0], 3) for moment in moments],
            latencies=[(round(r.at - moments[0], 3), round(r.took_s, 4)) for r in load.responses],
            **found.row(),
        )
