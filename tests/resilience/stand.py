"""The servers of the tests: a model server, and a gateway for each protocol to it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.attack.usage import children
from tests.flask_server.gunicorn_process import running_gateway
from tests.load import Load
from tests.model_server.harness import SERVER, Process, server_process
from tests.resilience.faulty_link import NO_FAULT, FaultyLink, faulty_link
from tests.resilience.form import FORM
from tests.resilience.versions import Publisher
from tests.running import answers
from tests.small_disk import SmallDisk, usual_folder
from tests.waiting import eventually

PROTOCOLS = ("rest", "grpc")
PATH = "/models/toy/predict"
#: Environment of gateways whose deadline no request misses, also beside other load.
NO_DEADLINE = {"GATEWAY_DEADLINE_S": "60"}


def load_of(port: int, image: bytes = b"") -> Load:
    """Return clients of a gateway that send an image, a small one if none is given."""
    return Load(port, PATH, image or small_image(), "image/png", clients=FORM.clients)


def small_image() -> bytes:
    """An image of some hundred bytes."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


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

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def load(self, image: bytes = b"") -> Load:
        """Return clients that send an image, a small one if none is given."""
        return load_of(self.port, image)

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
    disk: SmallDisk
    """Where all servers put what they write: logs, request logs, metrics, compiled models."""

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
        assert eventually(lambda: self.available == [1])
        assert eventually(lambda: all(gateway.is_ready for gateway in self.gateways))


def gateway_of(stand: Stand, protocol: str) -> Gateway:
    """Return the gateway that asks the model server over a protocol."""
    return next(each for each in stand.gateways if each.protocol == protocol)


@contextmanager
def running_stand(
    engine: str, exports: Path, folder: Path, disk: SmallDisk | None = None, /, **environ: str
) -> Iterator[Stand]:
    """Run the servers for version 1 of the exports; the model's name is ``toy``.

    All servers write to ``disk``, without one to a folder; ``environ`` are further environment
    variables of all servers.
    """
    base = folder / "model"
    base.mkdir()
    publisher = Publisher(exports, base)
    publisher.publish(1)
    disk = disk or usual_folder(folder / "disk")
    with ExitStack() as stack:
        flags = _serving_flags(engine, base, disk.path)
        serving = stack.enter_context(
            server_process(
                SERVER,
                disk.path / "model_server.log",
                *flags,
                opens=False,
                env=os.environ | environ,
            )
        )
        gateways = tuple(
            stack.enter_context(_gateway(protocol, serving, disk.path, environ))
            for protocol in PROTOCOLS
        )
        serving.wait_until_open()
        stand = Stand(engine, serving, publisher, gateways, disk)
        stand.restore()
        yield stand


def _serving_flags(engine: str, base: Path, disk: Path) -> list[str]:
    """Return the flags for a server that logs a tenth of the requests."""
    config = disk / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "toy" base_path: "{base}"'
        ' model_platform: "tensorflow" logging_config {'
        f' log_collector_config {{ filename_prefix: "{disk}/requests/" }}'
        " sampling_config { sampling_rate: 0.1 } } } }"
    )
    return [
        f"--model_config_file={config}",
        *("--rest_api_host=0.0.0.0", "--grpc_host=0.0.0.0"),  # lossy_network
        f"--engine={engine}",
        f"--openvino_cache_dir={disk}/compiled",
        "--request_log_max_file_bytes=100000",
        "--request_log_max_total_bytes=1000000",
        "--file_system_poll_wait_seconds=1",
        "--load_retry_interval_micros=200000",
    ]


@contextmanager
def _gateway(
    protocol: str, serving: Process, disk: Path, environ: Mapping[str, str]
) -> Iterator[Gateway]:
    with (
        faulty_link(serving.grpc_port if protocol == "grpc" else serving.port) as link,
        gateway_to(protocol, "127.0.0.1", link.port, disk, **environ) as (url, pid),
    ):
        yield Gateway(protocol, url, pid, link)


@contextmanager
def gateway_to(
    protocol: str, host: str, port: int, folder: Path, **environ: str
) -> Iterator[tuple[str, int]]:
    """Run a gateway of one worker to a model server; yield its URL and its PID."""
    own = folder / protocol
    own.mkdir()
    settings = {
        "GATEWAY_DEADLINE_S": str(FORM.deadline_s),
        "GATEWAY_POLL_INTERVAL_S": str(FORM.poll_s),
        "GUNICORN_CMD_ARGS": f"--pid {own / 'pid'}",
        "TMPDIR": str(own),
        **environ,
    }
    scheme = "grpc" if protocol == "grpc" else "http"
    with running_gateway(own, f"{scheme}://{host}:{port}", **settings) as url:
        yield url, int((own / "pid").read_text())
