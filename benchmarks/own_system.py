"""Start gateway and model server as auto_cmd.py does, with explicit numbers of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.fixtures import FOLDER, Fixture
from benchmarks.processes import free_port, header, running
from benchmarks.system_under_test import SystemUnderTest
from flask_server.imaging.resizing import Resize, resizer
from flask_server.settings import FastResize

CPUS = len(os.sched_getaffinity(0))
CACHE = FOLDER / "openvino"


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Numbers of processes and threads, and the engine."""

    engine: str = "openvino"
    precision: str = "bf16"

    gateway_workers: int = max(1, CPUS // 2)
    in_flight: int = 64
    """Maximum number of predictions in flight per gateway worker."""

    http_threads: int = 64
    """Maximum number of requests in progress in the model server."""

    engine_threads: int = CPUS

    stream_per_core: bool = False
    """Whether the engine has one stream per core instead of a single one; suits many callers."""

    exact_resize: bool = False
    """Whether the gateway resizes as Keras does, although the engine computes in bf16."""

    @property
    def name(self) -> str:
        """The name of the engine in tables."""
        streams = ", a stream per core" if self.stream_per_core else ""
        resize = ", exact resize" if self.exact_resize else ""
        return f"{self.engine} {self.precision}{streams}{resize}"

    @property
    def streams(self) -> int:
        """Number of inferences that the engine runs in parallel."""
        return CPUS if self.stream_per_core else 1

    @property
    def fast_resize(self) -> bool:
        """Whether the gateway uses the fast resizer, as auto_cmd.py sets it for bf16 and int8."""
        return self.precision in {"bf16", "int8"} and not self.exact_resize

    @property
    def resize(self) -> Resize:
        """The gateway's resize function."""
        return resizer(FastResize.AUTO if self.fast_resize else FastResize.OFF)


@contextmanager
def model_server(
    fixture: Fixture, layout: Layout, grpc_port: int | None = None
) -> Iterator[tuple[str, int]]:
    """Run the embedded server; yield its root URL and its PID.

    Raises RuntimeError if the server has fallen back to another engine than the layout's.
    """
    root = f"http://127.0.0.1:{free_port()}"
    flags = {
        "port": grpc_port or free_port(),
        "rest_api_port": root.rpartition(":")[2],
        "model_name": fixture.model,
        "model_base_path": fixture.base_path,
        "rest_api_num_threads": layout.http_threads,
        "engine": layout.engine,
        "precision": layout.precision,
        "streams": layout.streams,
        "openvino_cache_dir": CACHE,
        "tensorflow_intra_op_parallelism": layout.engine_threads,
    }
    command = ["-m", "model_server", *(f"--{name}={value}" for name, value in flags.items())]
    metadata = f"/v1/models/{fixture.model}/metadata"
    with running(command, root + metadata) as process:
        require_engine(header(root, metadata, "Model-Engine"), layout)
        yield root, process.pid


def require_engine(engine: str, layout: Layout) -> None:
    """Raise RuntimeError unless the engine that a server names is that of the layout.

    Without bf16 in the processor, bf16 is computed in f32.
    """
    name, _, precision = engine.partition("; precision=")
    if name != layout.engine or (layout.precision == "int8") != (precision == "int8"):
        raise RuntimeError(f"The model server computes {layout.name} with {engine}.")


@contextmanager
def gateway(model: str, serving_url: str, layout: Layout) -> Iterator[tuple[str, int]]:
    """Run the gateway for one model; yield its root URL and the PID of its first process."""
    root = f"http://127.0.0.1:{free_port()}"
    models_file = FOLDER / f"{model}.toml"
    models_file.parent.mkdir(parents=True, exist_ok=True)
    models_file.write_text(f'[models.{model}]\nbase_path = "models/{model}"\n')
    environ = {
        "GATEWAY_SERVING_URL": serving_url,
        "GATEWAY_MODELS_FILE": str(models_file),
        "GATEWAY_WORKERS": str(layout.gateway_workers),
        "GATEWAY_MAX_IN_FLIGHT": str(layout.in_flight),
        "GATEWAY_MAX_INFLIGHT_CALLS": str(layout.streams + 1),
        "GATEWAY_DEADLINE_S": "60",
        "GATEWAY_FAST_RESIZE": "auto" if layout.fast_resize else "false",
    }
    command = ["-m", "gunicorn", "-c", "flask_server/gunicorn.conf.py"]
    command += ["--bind", root.removeprefix("http://")]
    with running(command, f"{root}/readyz", environ) as process:
        yield root, process.pid


@contextmanager
def gateway_and_model_server(fixture: Fixture, layout: Layout) -> Iterator[SystemUnderTest]:
    """Run gateway and model server."""
    with ExitStack() as stack:
        serving_url, serving = stack.enter_context(model_server(fixture, layout))
        root, front = stack.enter_context(gateway(fixture.model, serving_url, layout))
        yield SystemUnderTest(
            name=f"gateway + embedded server, {layout.name}",
            url=f"{root}/models/{fixture.model}/predict",
            processes={"gateway": front, "model server": serving},
        )
