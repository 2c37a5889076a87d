"""What happens on the wire: sizes, deadlines, many channels, TLS, sockets, hostile clients."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from model_server.byte_budget import ByteBudget
from model_server.client import Client
from model_server.engines.protocol import Tensors
from model_server.errors import Unavailable
from model_server.models.registry import Registry, Servable, State
from model_server.transport.grpc_options import Credentials, GrpcOptions
from model_server.transport.grpc_server import GrpcServer, time_left
from model_server.transport.grpc_watchdog import resident_bytes
from tests.certificates import write_certificates
from tests.model_server.grpc_api.calls import (
    PREDICT,
    STATUS,
    RawClient,
    built,
    grpc_server,
    predict_request,
    registry_of,
)
from tests.model_server.grpc_api.slow_sender import SlowSender
from tests.model_server.toy import half_plus, one
from tests.waiting import PATIENCE_S, eventually

X = np.array([1, 3], np.float32)


class Gate:
    """A model that waits until it may answer, and counts its runs."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.started = threading.Semaphore(0)
        self.runs = 0
        self.timeouts: list[float | None] = []
        self.model = one(self._run, {"x": "float"}, {"y": "float"})

    def _run(self, inputs: Tensors) -> Tensors:
        self.runs += 1
        self.started.release()
        assert self.opened.wait(60)
        return {"y": inputs["x"]}


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


def test_64_mib_arrive_and_return(client: RawClient) -> None:
    array = np.arange(1 << 24, dtype=np.float32)

    with Client(client.target) as numpy_client:
        outputs = numpy_client.predict("same", {"x": array})

    assert (outputs["y"] == array).all()


def test_a_message_that_is_too_large_is_refused(registry: Registry) -> None:
    with grpc_server(registry, max_message_bytes=1000) as client:
        answer = client.predict("same", x=np.zeros(1000, np.float32))
        after = client.predict("same", x=X)

    assert answer.code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in answer.text
    assert after.code == "OK"


def test_messages_count_against_the_bytes_of_the_server(registry: Registry) -> None:
    budget = ByteBudget(10_000)
    with grpc_server(registry, budget=budget) as client:
        assert budget.take(8_000)
        refused = client.predict("same", x=np.zeros(1000, np.float32))
        budget.add(-8_000)
        answered = client.predict("same", x=np.zeros(1000, np.float32))
        is_released = eventually(lambda: budget.used == 0)

    assert refused.code == "UNAVAILABLE"
    assert "--rest_api_max_total_bytes" in refused.text
    assert answered.code == "OK"
    assert is_released


def test_64_channels_at_once(client: RawClient) -> None:
    def ask(number: int) -> float:
        own = RawClient(client.target, options=[("grpc.use_local_subchannel_pool", 1)])
        try:
            answer = own.predict("m", x=np.full(3, number, np.float32))
            return float(answer.outputs["y"][2])
        finally:
            own.close()

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(ask, range(64)))

    assert answers == [number / 2 + 3 for number in range(64)]


def test_versions_swap_while_calls_are_answered() -> None:
    registry = registry_of({("m", 1): half_plus(1)})
    found: set[float] = set()
    stop = threading.Event()

    def ask(client: RawClient) -> None:
        while not stop.is_set():
            found.add(float(client.predict("m", x=X).outputs["y"][0]))

    with grpc_server(registry) as client, ThreadPoolExecutor(4) as threads:
        calls = [threads.submit(ask, client) for _ in range(4)]
        assert eventually(lambda: found == {1.5})
        for version in range(2, 12):
            servable = Servable("m", version)
            registry.add(servable)
            registry.set_state(servable, State.AVAILABLE, model=half_plus(version))
            (old,) = [s for s in registry.servables("m") if s.version == version - 1]
            model = registry.drain(old)
            assert model is not None
            model.close()
            registry.set_state(old, State.END)
        assert eventually(lambda: 11.5 in found)
        stop.set()
        for call in calls:
            call.result(60)


def test_the_number_of_runs_is_limited_and_status_is_answered_meanwhile(gate: Gate) -> None:
    registry = registry_of({("gate", 1): gate.model})
    with grpc_server(registry, threads=2) as client, ThreadPoolExecutor(6) as threads:
        calls = [threads.submit(client.predict, "gate", x=X) for _ in range(6)]
        for _ in range(2):
            assert gate.started.acquire(timeout=60)
        question = built("GetModelStatusRequest", {"model_spec": {"name": "gate"}})
        status = client.call(STATUS, question)
        runs = gate.runs
        gate.opened.set()
        answers = [call.result(60).code for call in calls]

    assert (status.code, runs) == ("OK", 2)
    assert answers == ["OK"] * 6


def test_a_call_whose_deadline_has_passed_is_not_run(gate: Gate) -> None:
    registry = registry_of({("gate", 1): gate.model, ("m", 1): half_plus(1)})
    with grpc_server(registry, threads=1) as client:
        first = client.channel.unary_unary(PREDICT).future(predict_request("gate", x=X))
        assert gate.started.acquire(timeout=60)
        late = client.predict("gate", 0.2, x=X)
        gate.opened.set()
        first.result(60)
        last = client.predict("m", x=X)

    assert late.code == "DEADLINE_EXCEEDED"
    assert last.code == "OK"
    assert gate.runs == 1


def test_a_cancelled_call_harms_no_other(gate: Gate) -> None:
    registry = registry_of({("gate", 1): gate.model, ("m", 1): half_plus(1)})
    with grpc_server(registry, threads=1) as client:
        calls = [
            client.channel.unary_unary(PREDICT).future(predict_request("gate", x=X))
            for _ in range(3)
        ]
        assert gate.started.acquire(timeout=60)
        for call in calls:
            call.cancel()
        gate.opened.set()

        assert client.predict("m", x=X).code == "OK"


def test_running_calls_end_before_the_server_stops(gate: Gate) -> None:
    registry = registry_of({("gate", 1): gate.model})
    with grpc_server(registry) as client, ThreadPoolExecutor(1) as threads:
        call = client.channel.unary_unary(PREDICT).future(predict_request("gate", x=X))
        assert gate.started.acquire(timeout=60)
        drained = threads.submit(client.drain)
        assert eventually(lambda: client.predict("gate", 1, x=X).code == "UNAVAILABLE")
        gate.opened.set()
        is_drained = drained.result(60)
        answer = call.result(60)

    assert is_drained
    assert answer


def test_a_unix_socket(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with grpc_server(registry, port=None, socket_path=str(path)):
        client = RawClient(f"unix:{path}")
        answer = client.predict("m", x=X)
        client.close()

    assert answer.code == "OK"


def test_a_taken_port_is_an_error(registry: Registry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match="Failed to BuildAndStart gRPC server at 127.0.0.1:"):
            GrpcServer(GrpcOptions(port=port), {}, ByteBudget(1))


def test_invalid_keys_are_an_error_that_names_their_file() -> None:
    credentials = Credentials(key=b"no key", certificate=b"no certificate")

    with pytest.raises(Unavailable, match="Or correct --ssl_config_file"):
        GrpcServer(GrpcOptions(port=0, credentials=credentials), {}, ByteBudget(1))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return keys and certificates of an authority, a server and a client."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificates(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("verifies", [False, True])
def test_tls_with_and_without_client_certificate(
    registry: Registry, certificates: dict[str, bytes], verifies: bool
) -> None:
    files = certificates
    server = Credentials(
        key=files["server.key"],
        certificate=files["server.crt"],
        client_ca=files["ca.crt"],
        verifies_client=verifies,
    )
    anonymous = grpc.ssl_channel_credentials(files["ca.crt"])
    known = grpc.ssl_channel_credentials(files["ca.crt"], files["client.key"], files["client.crt"])
    refused_s = 5  # a refusal may be silence, which ends with the deadline only
    codes = []
    with grpc_server(registry, credentials=server) as plain:
        for credentials, seconds in (
            (None, refused_s),
            (anonymous, refused_s if verifies else PATIENCE_S),
            (known, PATIENCE_S),
        ):
            client = RawClient(plain.target, credentials)
            codes.append(client.predict("m", seconds, x=X).code)
            client.close()

    assert codes[0] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert (codes[1] == "OK") is not verifies
    assert codes[2] == "OK"


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500, b"\0"],
)
def test_garbage_on_the_port_harms_nobody(client: RawClient, garbage: bytes) -> None:
    host, _, port = client.target.rpartition(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(garbage)
        assert client.predict("m", x=X).code == "OK"


def test_any_bytes_are_answered(client: RawClient) -> None:
    rng = np.random.default_rng(2)
    valid = predict_request("m", x=X)
    for _ in range(200):
        damaged = bytearray(valid)
        for place in rng.integers(0, len(valid), 3):
            damaged[place] = rng.integers(0, 256)
        code = client.call(PREDICT, bytes(damaged)).code
        assert code not in {"UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED"}, bytes(damaged)
    assert client.predict("m", x=X).code == "OK"


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the system does not tell the memory in use"
)
def test_damaged_messages_leave_nothing_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    # Records of exceptions would keep the tensors in their tracebacks.
    caplog.set_level(logging.CRITICAL, "model_server.internal_errors")
    rng = np.random.default_rng(3)
    model = half_plus(1)
    model.calls = deque(maxlen=0)
    valid = predict_request("m", x=np.zeros(1 << 16, np.float32))

    def send(client: RawClient, count: int) -> None:
        for _ in range(count):
            damaged = bytearray(valid)
            for place in rng.integers(0, 64, 2):
                damaged[place] = rng.integers(0, 256)
            client.call(PREDICT, bytes(damaged))

    with grpc_server(registry_of({("m", 1): model})) as client:
        send(client, 400)  # the allocators of all threads have grown then
        before = resident_bytes()
        send(client, 400)  # 100 MiB
        after = resident_bytes()

    assert after - before < 64 << 20


def test_messages_that_arrive_slowly_delay_no_others(registry: Registry) -> None:
    with grpc_server(registry, threads=2) as client:
        slow = SlowSender(int(client.target.rpartition(":")[2]))
        for _ in range(40):
            slow.send(slow.begin(PREDICT, 1000), 500)
        answers = [client.predict("m", x=X).code for _ in range(3)]
        slow.close()

    assert answers == ["OK"] * 3


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the system does not tell the memory in use"
)
def test_messages_that_fill_the_memory_are_given_up(registry: Registry) -> None:
    budget = ByteBudget(20 << 20)
    with grpc_server(registry, budget=budget) as client:
        slow = SlowSender(int(client.target.rpartition(":")[2]))
        stream = slow.begin(PREDICT, 200 << 20)
        slow.send(stream, 100 << 20)
        assert eventually(lambda: _is_ended(slow, stream))
        answer = client.predict("m", x=X)
        slow.close()

    assert answer.code == "OK"


def _is_ended(slow: SlowSender, stream: int) -> bool:
    if stream not in slow.ended:
        slow.receive()
    return stream in slow.ended


@pytest.mark.parametrize(("left", "seconds"), [(None, inf), (inf, inf), (0.0, 0.0), (2.5, 2.5)])
def test_a_call_without_a_deadline_waits_as_long_as_needed(
    left: float | None, seconds: float
) -> None:
    context: Any = SimpleNamespace(time_remaining=lambda: left)

    assert time_left(context) == seconds
