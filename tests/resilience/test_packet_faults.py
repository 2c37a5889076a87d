"""A network between gateway and model server that loses, delays and doubles packets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.attack.usage import usage
from tests.resilience.form import FORM, long
from tests.resilience.lossy_network import NO_FAULT, LossyNetwork, PacketFault, lossy_network
from tests.resilience.outcome import has_failed, under_load
from tests.resilience.results import record
from tests.resilience.stand import PROTOCOLS, Stand, gateway_to, load_of
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

FAULTS = (
    PacketFault("5 % of the packets lost", lost=0.05),
    PacketFault("30 % of the packets lost", lost=0.3),
    PacketFault("packets delayed and out of order", delay_s=0.02, jitter_s=0.1),
    PacketFault("30 % of the packets doubled", doubled=0.3),
    PacketFault("network cut", lost=1.0),
    PacketFault("only responses cut", lost=1.0, is_one_way=True),
)
QUICK = ("30 % of the packets lost", "network cut")
#: Packets that a fault must have changed to count as felt.
_MANY = 20
#: Connections and threads of pools that were not in use before.
_MARGIN = 12


def rows() -> list[Any]:
    """Each fault for each protocol; the quick form has two of them."""
    return [
        pytest.param(
            *(fault, protocol),
            marks=[] if fault.name in QUICK and protocol == "grpc" else long,
            id=f"{fault.name}-{protocol}".replace(" ", "-"),
        )
        for fault in FAULTS
        for protocol in PROTOCOLS
    ]


@pytest.fixture(scope="module")
def network() -> Iterator[LossyNetwork]:
    with lossy_network() as network:
        yield network


@pytest.fixture(scope="module")
def gateways(
    stand: Stand, network: LossyNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[str, int]]]:
    """For each protocol, URL and PID of a gateway whose calls pass through the network."""
    network.servers = frozenset({stand.serving.port, stand.serving.grpc_port})
    folder = tmp_path_factory.mktemp("packets")
    with (
        gateway_to("rest", network.host, stand.serving.port, folder) as over_rest,
        gateway_to("grpc", network.host, stand.serving.grpc_port, folder) as over_grpc,
    ):
        yield {"rest": over_rest, "grpc": over_grpc}


@pytest.mark.parametrize(("fault", "protocol"), rows())
def test_a_fault_of_the_network_to_the_model_server(
    calm: Stand,
    network: LossyNetwork,
    gateways: dict[str, tuple[str, int]],
    fault: PacketFault,
    protocol: str,
) -> None:
    url, pid = gateways[protocol]
    load = load_of(int(url.rpartition(":")[2]))
    network.fault = PacketFault("slow", delay_s=0.05)  # so that the pools start their threads
    with load.running():
        assert eventually(lambda: len(load.responses) >= 3 * FORM.clients)
    network.fault = NO_FAULT
    before = usage(pid)
    load = load_of(load.port)

    def act() -> None:
        changed = network.changed
        network.fault = fault
        time.sleep(FORM.fault_s)
        assert eventually(lambda: network.changed - changed >= _MANY)
        assert fault.lost < 1 or eventually(lambda: has_failed(load))
        network.fault = NO_FAULT

    found = under_load(load, act)

    record("packets", fault=fault.name, engine=calm.engine, protocol=protocol, **found.row())
    assert (found.wrong, found.lost) == ([], [])
    if fault.doubled:
        assert found.problems == {}
    assert eventually(lambda: usage(pid).descriptors <= before.descriptors + _MARGIN)
    assert eventually(lambda: usage(pid).threads <= before.threads + _MARGIN)
