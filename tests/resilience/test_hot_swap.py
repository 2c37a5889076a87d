"""Version swaps and rollbacks under load lose no request and mix no versions."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict

import pytest

from tests.attack.usage import Usage, usage
from tests.load import Load
from tests.resilience.form import FORM
from tests.resilience.outcome import outcome
from tests.resilience.results import record
from tests.resilience.stand import Stand
from tests.resilience.versions import swaps
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(900)]

#: Megabytes, and threads or descriptors, by which a server may grow after the first swaps.
_GROWTH_MB = 24.0
_MARGIN = 8


def newest(load: Load) -> int:
    """The version of the last response; 0 for a failure."""
    last = load.responses[-1:]
    return int(json.loads(last[0].body).get("version", 0)) if last else 0


def usages(stand: Stand) -> dict[str, Usage]:
    """What each server uses now."""
    gateways = {f"gateway, {each.protocol}": each.pid for each in stand.gateways}
    pids = {"model server": stand.serving.child.pid, **gateways}
    return {name: usage(pid) for name, pid in pids.items()}


def check_growth(stand: Stand, before: dict[str, Usage], after: dict[str, Usage]) -> None:
    for server, was in before.items():
        now = after[server]
        record(
            "growth",
            engine=stand.engine,
            server=server,
            swaps=FORM.swaps - FORM.warm_swaps,
            before=asdict(was),
            after=asdict(now),
        )
        assert now.resident_mb <= was.resident_mb + _GROWTH_MB, server
        assert now.threads <= was.threads + _MARGIN, server
        assert now.descriptors <= was.descriptors + _MARGIN, server


def test_versions_are_swapped_without_losing_a_request(patient: Stand) -> None:
    loads = [gateway.load() for gateway in patient.gateways]
    moments: list[float] = []

    with ExitStack() as stack:
        for load in loads:
            stack.enter_context(load.running())
        assert eventually(lambda: all(newest(load) == 1 for load in loads))
        for number, version in enumerate(swaps(FORM.swaps)):
            if number == FORM.warm_swaps:
                before = usages(patient)
            moments.append(time.monotonic())
            patient.publisher.newest(version)
            swapped = eventually(
                lambda v=version: all(newest(load) == v for load in loads),  # type: ignore[misc]
            )
            assert swapped, (version, patient.available, patient.serving.log.read_text()[-2000:])
        after = usages(patient)

    check_growth(patient, before, after)
    for gateway, load in zip(patient.gateways, loads, strict=True):
        found = outcome(load, time.monotonic())
        assert (found.problems, found.wrong, found.lost) == ({}, [], [])
        record(
            "swaps",
            engine=patient.engine,
            protocol=gateway.protocol,
            swaps=len(moments),
            connections=FORM.clients,
            moments=[round(moment - moments[0], 3) for moment in moments],
            latencies=[(round(r.at - moments[0], 3), round(r.took_s, 4)) for r in load.responses],
            **found.row(),
        )
