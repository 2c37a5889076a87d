"""A resolver that hangs holds up no request beyond its deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from flask_server.deadline import Deadline
from flask_server.errors import ServingUnavailable
from flask_server.serving import transport
from flask_server.serving.client import RestServing
from flask_server.serving.name_lookup import look_up
from tests.flask_server.stub_serving import StubServing

GetAddrInfo = Callable[..., list[object]]


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A resolver that answers nothing; the names that it was asked for."""
    asked: list[str] = []
    end, real = threading.Event(), socket.getaddrinfo

    def hang(host: str, *args: object, **kwargs: object) -> object:
        if host != "slow.example":
            return real(host, *args, **kwargs)  # type: ignore[arg-type]
        asked.append(host)
        end.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield asked
    end.set()
    for thread in threading.enumerate():
        if thread.name == "name-lookup":
            thread.join(60)


def test_calls_end_in_time_and_share_one_look_up(
    hanging: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CONNECT_S", 0.05)
    serving = RestServing("http://slow.example:9000")

    for _ in range(3):
        with pytest.raises(ServingUnavailable, match="accepted no connection in time"):
            serving.status("m", Deadline(60))

    assert hanging == ["slow.example"]


def test_a_name_without_an_address_is_a_server_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without a network, a resolver may try for many seconds.
    monkeypatch.setattr(transport, "CONNECT_S", 60.0)

    with pytest.raises(ServingUnavailable, match="cannot be reached"):
        RestServing("http://no-such-host.invalid:9000").status("m", Deadline(60))


def test_a_name_is_called_at_its_addresses() -> None:
    with StubServing().running() as stub:
        serving = RestServing(stub.url.replace("127.0.0.1", "localhost"))
        assert serving.status("toy", Deadline(60))
        serving.close()


def test_names_and_numbers_are_looked_up() -> None:
    assert "127.0.0.1" in look_up("localhost", 80, 10)
    assert look_up("127.0.0.1", 80, 10) == ["127.0.0.1"]
    assert look_up("::1", 80, 10) == ["::1"]


def test_without_a_thread_the_process_lacks_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)

    with pytest.raises(MemoryError):
        look_up("localhost", 81, 1)  # no look-up of this host and port ends just now
