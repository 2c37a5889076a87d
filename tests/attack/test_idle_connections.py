"""Thousands of idle connections: good callers are answered, and each costs little memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attack import targets
from tests.attack.catalogue import FORM, LONG, Target, crowd
from tests.attack.good_caller import Experience
from tests.attack.usage import usage
from tests.waiting import eventually

COUNT = 10_000 if FORM is LONG else 1_100
#: gunicorn's own limit of connections per worker; beyond it the longest idle ones are closed.
USUAL = 1_000
#: Descriptors of a server and of this test beside those of the connections.
_OTHERS = 400
#: Most memory of one idle connection, in kB.
_MOST_KB = 16
_WAIT_S = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _room(descriptors: int) -> None:
    if descriptors < COUNT + _OTHERS:
        pytest.skip(f"{COUNT + _OTHERS} descriptors need root, or ulimit -n {COUNT + _OTHERS}")


@pytest.fixture
def roomy_gateway(tmp_path: Path) -> Iterator[Target]:
    """A gateway that keeps all connections."""
    with targets.gateway(tmp_path, f"--worker-connections {COUNT + _OTHERS}") as target:
        yield target


def test_the_model_server_keeps_idle_connections(model_server: Target) -> None:
    keeps_idle_connections(model_server)


def test_the_gateway_keeps_idle_connections_if_allowed(roomy_gateway: Target) -> None:
    keeps_idle_connections(roomy_gateway)


def test_beyond_its_limit_the_gateway_closes_the_longest_idle_connections(gateway: Target) -> None:
    before = usage(gateway.pid)
    with ExitStack() as stack:
        first = stack.enter_context(crowd(gateway, 20))
        stack.enter_context(crowd(gateway, COUNT))
        for connection in first:
            assert connection.recv(1) == b""
        seen = gateway.caller.wait_for_answers(2, _WAIT_S)
        assert eventually(lambda: usage(gateway.pid).descriptors - before.descriptors <= USUAL)

    assert good(seen)


def keeps_idle_connections(target: Target) -> None:
    """Open connections, half of them after an answer, and look at the server meanwhile."""
    target.caller.report()
    before = usage(target.pid)
    with crowd(target, COUNT) as connections:
        for connection in connections[::2]:
            connection.sendall(target.get)
        for connection in connections[::2]:
            assert connection.recv(65536)
        assert eventually(lambda: usage(target.pid).descriptors >= COUNT), usage(target.pid)
        seen = target.caller.wait_for_answers(2, _WAIT_S)
        kilobytes = (usage(target.pid).resident_mb - before.resident_mb) * 1024 / COUNT

    assert good(seen)
    assert kilobytes <= _MOST_KB
    assert eventually(lambda: usage(target.pid).descriptors < before.descriptors + _OTHERS)


def good(seen: list[Experience]) -> bool:
    """Tell whether every answer was right and in time."""
    return all(not each.wrong and each.slowest_s <= FORM.slowest_s for each in seen)
