"""No byte stream means other requests to one server than to another, nor through HAProxy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.attack import smuggling
from tests.attack.catalogue import Target
from tests.attack.smuggling import GATEWAY, MODEL_SERVER, STREAMS, Parts, Stream
from tests.deploy import haproxy
from tests.fuzz import http_readings
from tests.running import free_port
from tests.waiting import eventually

by_stream = pytest.mark.parametrize("stream", STREAMS, ids=[stream.name for stream in STREAMS])
_numbers = count()


@dataclass(frozen=True)
class Proxy:
    """The ports of HAProxy."""

    clients: int
    model_server_clients: int


@pytest.fixture(scope="module")
def proxy(
    gateway: Target, model_server: Target, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """HAProxy with the project's configuration in front of both servers."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    folder = tmp_path_factory.mktemp("haproxy")
    ports = [free_port() for _ in range(3)]
    addresses = {
        ":80\n": f"127.0.0.1:{ports[0]}\n",
        "127.0.0.1:8501": f"127.0.0.1:{ports[1]}",
        "127.0.0.1:8404": f"127.0.0.1:{ports[2]}",
        "/v1/models/digits": "/v1/models/toy",
        **{f"10.0.0.2{n}:5000": f"127.0.0.1:{gateway.port}" for n in (1, 2)},
        **{f"10.0.0.1{n}:8501": f"127.0.0.1:{model_server.port}" for n in (1, 2)},
    }
    with haproxy.running(folder, addresses) as running:
        for backend, name in (("gateways", "gateway"), ("model_servers", "serving")):
            for number in (1, 2):
                running.wait_until(backend, f"{name}{number}", "UP")
        yield Proxy(ports[0], ports[1])


def initials(names: Sequence[bytes]) -> str:
    return b"".join(name[:1] for name in names).decode()


@pytest.mark.slow
@by_stream
def test_the_gateway_reads(gateway: Target, stream: Stream) -> None:
    parts = Parts(GATEWAY, next(_numbers))

    assert initials(smuggling.read(gateway.port, parts, stream.make)) == stream.gateway


@pytest.mark.slow
@by_stream
def test_the_model_server_reads(model_server: Target, stream: Stream) -> None:
    parts = Parts(MODEL_SERVER, next(_numbers))

    assert initials(smuggling.read(model_server.port, parts, stream.make)) == stream.model_server


@by_stream
def test_both_servers_cut_a_stream_at_the_same_places(stream: Stream) -> None:
    """The same without sockets, where the streams of both are equal, bytes of bodies included."""
    parts = Parts(GATEWAY, 0)
    sent = stream.make(parts) + parts.get(b"last")

    assert http_readings.agree(http_readings.of_gateway(sent), http_readings.of_model_server(sent))


@pytest.mark.slow
@by_stream
def test_the_gateway_reads_what_haproxy_reads(
    gateway_folder: Path, proxy: Proxy, stream: Stream
) -> None:
    before = answered(gateway_folder)

    through = smuggling.read(proxy.clients, Parts(GATEWAY, next(_numbers)), stream.make)

    assert smuggling.fit(stream.gateway, initials(through))
    assert eventually(lambda: answered(gateway_folder) - before == len(through))


@pytest.mark.slow
@by_stream
def test_the_model_server_reads_what_haproxy_reads(
    model_server: Target, proxy: Proxy, stream: Stream
) -> None:
    parts = Parts(MODEL_SERVER, next(_numbers))

    through = smuggling.read(proxy.model_server_clients, parts, stream.make)

    assert smuggling.fit(stream.model_server, initials(through))
    assert eventually(lambda: asked(model_server, parts) == set(through))


def answered(folder: Path) -> int:
    """Return how many requests for unknown models the gateway has answered, by its access log."""
    return (folder / "gateway.log").read_bytes().count(b"GET /models/<name> 404")


def asked(model_server: Target, parts: Parts) -> set[bytes]:
    """Return for which models of a stream the model server was asked, by its metrics."""
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    metrics = smuggling.exchanged(model_server.port, request)
    return {name for name in smuggling.NAMES if b'"%b"' % parts.name(name) in metrics}


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("", "ol", True),
        ("ol", "ol", True),
        ("oi", "oil", True),
        ("ol", "oil", False),
        ("o", "il", False),
        ("l", "ol", False),
    ],
)
def test_readings_that_contradict_each_other_are_told(one: str, other: str, fits: bool) -> None:
    assert smuggling.fit(one, other) is smuggling.fit(other, one) is fits


@by_stream
def test_the_rows_of_both_servers_fit_together(stream: Stream) -> None:
    assert smuggling.fit(stream.gateway, stream.model_server)
