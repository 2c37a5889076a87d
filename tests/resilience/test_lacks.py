"""A process that gets no further descriptor, or no further memory, for a while."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

import pytest
from PIL import Image

from tests.attack.usage import usage
from tests.load import Load
from tests.resilience.form import FORM, long
from tests.resilience.outcome import Outcome, fault_of, under_load
from tests.resilience.results import record
from tests.resilience.stand import Stand, gateway_of
from tests.resilience.supervised import Instance
from tests.resource_limits import descriptors_left, memory_left
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]

#: Address space that is left: too little for a thread or a large image, enough for small requests.
_BYTES_LEFT = 4 << 20
_LARGE_SIDE = 3000
#: Further loads, each of as many clients.
_CROWD = 4
#: Connections and threads of pools that were not in use before.
_MARGIN = 12


def large_image() -> bytes:
    """An image of a few kilobytes that takes 27 MB when it is decoded."""
    file = io.BytesIO()
    Image.new("RGB", (_LARGE_SIDE, _LARGE_SIDE)).save(file, "PNG")
    return file.getvalue()


def during(
    lack: AbstractContextManager[None], crowd: Sequence[Load], least_responses: int = 0
) -> None:
    """Let further clients come while there is a lack, until they have so many responses."""
    with lack, ExitStack() as stack:
        for load in crowd:
            stack.enter_context(load.running())
        time.sleep(FORM.fault_s)
        assert eventually(lambda: all(len(load.responses) >= least_responses for load in crowd))


def check(fault: str, engine: str, protocol: str, found: Outcome, crowd: Sequence[Load]) -> None:
    record("resource", fault=fault, engine=engine, protocol=protocol, **found.row())
    assert found.wrong == []
    others = [response for load in crowd for response in load.responses]
    assert [told for response in others if (told := fault_of(response))] == []


@pytest.mark.parametrize("protocol", [pytest.param("rest", marks=long), "grpc"])
def test_a_gateway_without_descriptors_drops_connections(calm: Stand, protocol: str) -> None:
    gateway = gateway_of(calm, protocol)
    all_threads = 3 * FORM.clients  # are started by so many responses
    during(nullcontext(), [gateway.load() for _ in range(_CROWD)], all_threads)
    crowd = [gateway.load() for _ in range(_CROWD)]
    before = usage(gateway.worker)

    found = under_load(gateway.load(), lambda: during(descriptors_left(gateway.worker, 0), crowd))

    check("no descriptor left for the gateway", calm.engine, protocol, found, crowd)
    assert eventually(lambda: usage(gateway.worker).descriptors <= before.descriptors + _MARGIN)
    assert eventually(lambda: usage(gateway.worker).threads <= before.threads + _MARGIN)


@pytest.mark.parametrize("protocol", [pytest.param("rest", marks=long), "grpc"])
def test_a_model_server_without_descriptors_serves_the_gateway(calm: Stand, protocol: str) -> None:
    """Further clients of its own must take turns."""
    gateway, pid = gateway_of(calm, protocol), calm.serving.child.pid
    body = json.dumps({"instances": [[[[0.0] * 3] * 4] * 4]}).encode()
    path = "/v1/models/toy:predict"
    crowd = [
        Load(calm.serving.port, path, body, "application/json", clients=FORM.clients)
        for _ in range(_CROWD)
    ]
    before = usage(pid)

    found = under_load(gateway.load(), lambda: during(descriptors_left(pid, 0), crowd))

    check("no descriptor left for the model server", calm.engine, protocol, found, [])
    assert {response.status for load in crowd for response in load.responses} <= {200}
    assert eventually(lambda: usage(pid).descriptors <= before.descriptors + _MARGIN)
    assert eventually(lambda: usage(pid).threads <= before.threads + _MARGIN)


@pytest.mark.parametrize("protocol", [pytest.param("rest", marks=long), "grpc"])
def test_an_image_without_memory_for_it_is_refused(calm: Stand, protocol: str) -> None:
    gateway = gateway_of(calm, protocol)
    worker, crowd = gateway.worker, [gateway.load(large_image())]

    found = under_load(
        gateway.load(), lambda: during(memory_left(gateway.worker, _BYTES_LEFT), crowd, 1)
    )

    check("no memory left for the gateway", calm.engine, protocol, found, crowd)
    statuses = {response.status for response in crowd[0].responses}
    assert statuses == {503}
    assert gateway.worker == worker


def test_a_model_server_without_memory_goes_on_or_is_started_again(instance: Instance) -> None:
    pid = instance.pids()["serving"]
    crowd = [instance.load() for _ in range(_CROWD)]

    found = under_load(
        instance.load(), lambda: during(memory_left(pid, _BYTES_LEFT), crowd), within_s=90
    )

    check("no memory left for the model server", "openvino", "rest", found, crowd)
    assert found.lost == []
