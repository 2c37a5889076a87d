"""Signals to a worker of the gateway and to the model server.

``test_signals`` has those to the processes of a supervised instance.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.attack.usage import children
from tests.resilience.form import FORM, long
from tests.resilience.outcome import has_failed, under_load
from tests.resilience.results import record
from tests.resilience.stand import PROTOCOLS, Stand, gateway_of
from tests.waiting import eventually

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow, pytest.mark.timeout(300)]


def pause(pid: int, until: Callable[[], bool] = lambda: True) -> None:
    """Stop a process for longer than the deadline of a request, and until a condition is true."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(FORM.deadline_s + 0.3)
        assert eventually(until)
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("protocol", [pytest.param("rest", marks=long), "grpc"])
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=long)])
def test_a_worker_that_ends_is_replaced(calm: Stand, protocol: str, number: signal.Signals) -> None:
    gateway = gateway_of(calm, protocol)
    worker = gateway.worker

    def act() -> None:
        os.kill(worker, number)
        assert eventually(lambda: children(gateway.pid) not in ([], [worker]))

    found = under_load(gateway.load(), act)

    fault = f"{number.name} to the worker of a gateway"
    record("process", fault=fault, engine=calm.engine, protocol=protocol, **found.row())
    assert found.wrong == []
    if number == signal.SIGTERM:
        assert found.lost == []
    assert eventually(lambda: len(children(gateway.pid)) == 1)


@long
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_paused_worker_loses_no_request(calm: Stand, protocol: str) -> None:
    gateway = gateway_of(calm, protocol)

    found = under_load(gateway.load(), lambda: pause(gateway.worker))

    fault = "SIGSTOP and SIGCONT to the worker of a gateway"
    record("process", fault=fault, engine=calm.engine, protocol=protocol, **found.row())
    assert (found.wrong, found.lost) == ([], [])


@pytest.mark.parametrize("protocol", ["rest", pytest.param("grpc", marks=long)])
def test_a_paused_model_server_is_a_problem_in_time(calm: Stand, protocol: str) -> None:
    gateway = gateway_of(calm, protocol)
    load, pid = gateway.load(), calm.serving.child.pid

    found = under_load(load, lambda: pause(pid, lambda: has_failed(load)))

    fault = "SIGSTOP and SIGCONT to the model server"
    record("process", fault=fault, engine=calm.engine, protocol=protocol, **found.row())
    assert (found.wrong, found.lost) == ([], [])
    assert found.problems
