"""The kernel ends a process for want of memory, as it does in a container.

A test moves the process into a control group with a very small memory limit. Its next allocations
exceed the limit, and the out-of-memory killer can choose no other process.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.attack.usage import MB, children
from tests.load import Load
from tests.orchestrator.conftest import gone
from tests.resilience.form import FORM, long
from tests.resilience.memory_cgroup import memory_cgroup
from tests.resilience.outcome import under_load
from tests.resilience.results import record
from tests.resilience.stand import Stand, gateway_of
from tests.resilience.supervised import Instance
from tests.resilience.test_lacks import large_image
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(400)]

#: Less than a large request takes.
_LIMIT = 4 * MB
#: Numbers of a request to the model server that takes some ten megabytes.
_MANY_VALUES = 1_000_000


def killed(pid: int, load: Load, is_back: Callable[[], bool]) -> Callable[[], None]:
    """Return an action: leave a process no memory while a load needs some, until it is replaced."""

    def act() -> None:
        with memory_cgroup(_LIMIT) as group:
            group.take(pid)
            with load.running():
                assert eventually(lambda: gone(pid))
            assert group.kills == 1
        assert eventually(is_back)

    return act


@pytest.mark.parametrize("protocol", [pytest.param("rest", marks=long), "grpc"])
def test_a_worker_that_the_kernel_ends_is_replaced(calm: Stand, protocol: str) -> None:
    gateway = gateway_of(calm, protocol)
    worker, master = gateway.worker, gateway.pid
    act = killed(worker, gateway.load(large_image()), lambda: len(children(master)) == 1)

    found = under_load(gateway.load(), act)

    fault = "worker of a gateway ended by the out-of-memory killer"
    record("resource", fault=fault, engine=calm.engine, protocol=protocol, **found.row())
    assert found.wrong == []
    assert children(master) != [worker]


@long
def test_a_model_server_that_the_kernel_ends_is_started_again(instance: Instance) -> None:
    pid, processes = instance.pids()["serving"], len(instance.processes())
    body = b'{"instances": [%b0]}' % (b"0.5," * _MANY_VALUES)
    path = "/v1/models/toy:predict"
    port = instance.sandbox.serving_port
    load = Load(port, path, body, "application/json", clients=FORM.clients)
    act = killed(pid, load, instance.sandbox.is_ready)

    found = under_load(instance.load(), act, within_s=90)

    fault = "model server ended by the out-of-memory killer"
    record("resource", fault=fault, engine="openvino", protocol="rest", **found.row())
    assert (found.wrong, found.lost) == ([], [])
    assert eventually(lambda: len(instance.processes()) == processes)
    assert instance.pids()["serving"] != pid
