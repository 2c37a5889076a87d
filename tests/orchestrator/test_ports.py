from __future__ import annotations

import os
import socket

import pytest

from orchestrator.ports import conflict, listeners, port_problem
from tests.running import free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_free_port_is_no_problem(host: str) -> None:
    assert port_problem(host, free_port()) is None


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("wanted", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_named_with_its_owner(listening: str, wanted: str) -> None:
    with socket.create_server((listening, 0)) as listener:
        port = listener.getsockname()[1]

        assert f"is taken by PID {os.getpid()} (" in str(port_problem(wanted, port))


def test_a_port_is_free_again_once_its_owner_is_gone() -> None:
    port = free_port()  # which nobody else takes meanwhile
    with socket.create_server(("127.0.0.1", port)):
        assert port_problem("127.0.0.1", port)

    assert port_problem("127.0.0.1", port) is None
    assert listeners(port) == set()


def test_a_connection_is_not_an_owner() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as caller,
    ):
        assert listeners(caller.getsockname()[1]) == set()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "127..0.1"])
def test_a_host_that_is_not_ours_is_a_problem(host: str) -> None:
    assert "cannot be used" in str(port_problem(host, free_port()))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("127.0.0.1", 5000), ("127.0.0.1", 5000), True),
        (("127.0.0.1", 5000), ("127.0.0.1", 5001), False),
        (("0.0.0.0", 5000), ("127.0.0.1", 5000), True),
        (("127.0.0.1", 5000), ("::", 5000), True),
        (("127.0.0.1", 5000), ("127.0.0.2", 5000), False),
        (("127.0.0.1", 5000), ("127..0.1", 5000), False),
    ],
)
def test_which_addresses_conflict(
    one: tuple[str, int], other: tuple[str, int], expected: bool
) -> None:
    assert conflict(one, other) == expected
