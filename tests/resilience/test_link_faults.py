"""Faults on the way between gateway and model server."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.attack.usage import usage
from tests.load import Load
from tests.resilience.faulty_link import NO_FAULT, Ending, Fault
from tests.resilience.form import FORM, long
from tests.resilience.outcome import has_failed, under_load
from tests.resilience.results import record
from tests.resilience.stand import PROTOCOLS, Gateway, Stand, gateway_of
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

FAULTS = (
    Fault("just under the deadline", delay_s=FORM.deadline_s * 0.6),
    Fault("just over the deadline", delay_s=FORM.deadline_s * 1.2),
    Fault("half-open connections", ending=Ending.SILENCE),
    Fault("reset instead of a response", share=0, ending=Ending.RESET),
    Fault("reset within a response", share=0.5, ending=Ending.RESET),
    Fault("closed within a response", share=0.5, ending=Ending.CLOSE),
    Fault("random bytes", is_garbage=True),
)
QUICK = ("just over the deadline", "half-open connections", "reset within a response")
#: Connections and threads of pools that were not in use before.
_MARGIN = 12


def rows() -> list[Any]:
    """Each fault for each protocol; the quick form has those that no cheaper test covers."""
    return [
        pytest.param(
            *(fault, protocol),
            marks=[] if protocol == "grpc" and fault.name in QUICK else long,
            id=f"{fault.name}-{protocol}".replace(" ", "-"),
        )
        for fault in FAULTS
        for protocol in PROTOCOLS
    ]


def warm_up(gateway: Gateway) -> None:
    """Let all clients wait at the same time, so that the pools of the gateway start threads."""
    load = gateway.load()
    gateway.link.fault = Fault("slow", delay_s=0.1)
    with load.running():
        assert eventually(lambda: len(load.responses) >= 3 * FORM.clients)
    gateway.link.fault = NO_FAULT


@pytest.mark.parametrize(("fault", "protocol"), rows())
def test_a_fault_on_the_way_to_the_model_server(calm: Stand, fault: Fault, protocol: str) -> None:
    gateway = gateway_of(calm, protocol)
    warm_up(gateway)
    before = usage(gateway.pid)

    load = gateway.load()

    def act() -> None:
        gateway.link.fault = fault
        time.sleep(FORM.fault_s)
        assert eventually(lambda: is_felt(fault, load))
        gateway.link.fault = NO_FAULT

    found = under_load(load, act)

    record("link", fault=fault.name, engine=calm.engine, protocol=protocol, **found.row())
    assert (found.wrong, found.lost) == ([], [])
    assert eventually(lambda: usage(gateway.pid).descriptors <= before.descriptors + _MARGIN)
    assert eventually(lambda: usage(gateway.pid).threads <= before.threads + _MARGIN)


def is_felt(fault: Fault, load: Load) -> bool:
    """Tell whether a client has met the fault."""
    if 0 < fault.delay_s < FORM.deadline_s:
        return any(each.took_s >= fault.delay_s for each in load.responses)
    return has_failed(load)
