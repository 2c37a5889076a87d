"""The servers of the tests: a model server, and a gateway for each protocol to it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.attack.usage import children
from tests.flask_server.gunicorn_process import running_gateway
from tests.model_server.harness import SERVER, Process, eventually, server_process
from tests.orchestrator.load import Load
from tests.resilience.faulty_link import NO_FAULT, FaultyLink, faulty_link
from tests.resilience.form import FORM
from tests.resilience.versions import Publisher
from tests.running import answers

PROTOCOLS = ("rest", "grpc")


@dataclass(frozen=True)
class Gateway:
    """A gateway of one worker."""

    protocol: str
    url: str
    pid: int
    link: FaultyLink

    @property
    def worker(self) -> int:
        """The PID of the worker that was started last."""
        return children(self.pid)[-1]

    def load(self) -> Load:
        """Return clients that send a small image."""
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        port = int(self.url.rpartition(":")[2])
        path = "/models/toy/predict"
        return Load(port, path, file.getvalue(), "image/png", clients=FORM.clients)

    @property
    def is_ready(self) -> bool:
        return answers(f"{self.url}/readyz")


@dataclass(frozen=True)
class Stand:
    """Everything that runs."""

    engine: str
    serving: Process
    publisher: Publisher
    gateways: tuple[Gateway, ...]

    @property
    def available(self) -> list[int]:
        """The versions that the model server serves."""
        states = self.serving.client.states("toy")
        return sorted(version for version, state in states.items() if state == "AVAILABLE")

    def restore(self) -> None:
        """Serve version 1 without faults, as at the beginning."""
        for gateway in self.gateways:
            gateway.link.fault = NO_FAULT
        self.publisher.reset()
        assert eventually(lambda: self.available == [1], 60)
        assert eventually(lambda: all(gateway.is_ready for gateway in self.gateways), 60)


@contextmanager
def running_stand(engine: str, exports: Path, folder: Path) -> Iterator[Stand]:
    """Run the servers for version 1 of the exports; the model's name is ``toy``."""
    base = folder / "model"
    base.mkdir()
    publisher = Publisher(exports, base)
    publisher.publish(1)
    flags = ("--model_name=toy", f"--model_base_path={base}", f"--engine={engine}")
    polls = ("--file_system_poll_wait_seconds=1", "--load_retry_interval_micros=200000")
    with ExitStack() as stack:
        serving = stack.enter_context(
            server_process(SERVER, folder / "model_server.log", *flags, *polls, opens=False)
        )
        gateways = tuple(
            stack.enter_context(_gateway(protocol, serving, folder)) for protocol in PROTOCOLS
        )
        serving.wait_until_open()
        stand = Stand(engine, serving, publisher, gateways)
        stand.restore()
        yield stand


@contextmanager
def _gateway(protocol: str, serving: Process, folder: Path) -> Iterator[Gateway]:
    own = folder / protocol
    own.mkdir()
    is_grpc = protocol == "grpc"
    with faulty_link(serving.grpc_port if is_grpc else serving.port) as link:
        scheme = "grpc" if is_grpc else "http"
        settings = {
            "GATEWAY_DEADLINE_S": str(FORM.deadline_s),
            "GATEWAY_POLL_INTERVAL_S": str(FORM.poll_s),
            "GUNICORN_CMD_ARGS": f"--pid {own / 'pid'}",
        }
        with running_gateway(own, f"{scheme}://127.0.0.1:{link.port}", **settings) as url:
            yield Gateway(protocol, url, int((own / "pid").read_text()), link)
