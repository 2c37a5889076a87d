"""Start the other systems, or raise NotInstalled where one is missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from benchmarks.fixtures import Fixture
from benchmarks.own_system import Layout, gateway, model_server
from benchmarks.processes import ROOT, free_port, running
from benchmarks.system_under_test import SystemUnderTest

PYTHON = ROOT / ".venv-bench" / "bin" / "python"
GENUINE = "tensorflow_model_server"
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "BENTOML_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1"}


class NotInstalled(Exception):
    """The peer is not installed on this machine; the message names the missing part."""


@contextmanager
def litserve(fixture: Fixture, *, fast: bool = False) -> Iterator[SystemUnderTest]:
    """Run LitServe, with the gateway's fast resizer or with Pillow."""
    _require("litserve")
    arguments = [str(fixture.side), str(fixture.version), *(["fast"] if fast else [])]
    with _app("litserve_app", *arguments) as (root, pid):
        yield SystemUnderTest(
            name=f"LitServe (batch 8){', fast resize' if fast else ''}",
            url=f"{root}/predict",
            processes={"litserve": pid},
            polls=True,
        )


@contextmanager
def bentoml(fixture: Fixture) -> Iterator[SystemUnderTest]:
    """Run BentoML."""
    _require("bentoml")
    port = free_port()
    command = ["-m", "bentoml", "serve", "benchmarks.peers.bentoml_app:BentoClassifier"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environ = {"SIDE": str(fixture.side), "SAVED_MODEL": str(fixture.version)}
    with _peer(command, port, "/readyz", environ) as pid:
        yield SystemUnderTest(
            name="BentoML (batch 8)",
            url=f"http://127.0.0.1:{port}/predict",
            form="images",
            processes={"bentoml": pid},
            polls=True,
        )


@contextmanager
def flask_keras(fixture: Fixture) -> Iterator[SystemUnderTest]:
    """Run Flask with keras.predict and a lock."""
    _require("tensorflow")
    with _app("flask_keras_app", str(fixture.side), str(fixture.version)) as (root, pid):
        yield SystemUnderTest(
            name="Flask + keras.predict + lock",
            url=f"{root}/predict",
            processes={"flask": pid},
        )


@contextmanager
def tutorial(fixture: Fixture) -> Iterator[SystemUnderTest]:
    """Run the tutorial's gateway in front of TensorFlow Serving, or of the embedded server."""
    _require("flask")
    serving = _genuine_rest if shutil.which(GENUINE) else _embedded_tensorflow
    behind = "genuine TF Serving" if shutil.which(GENUINE) else "the embedded server, tensorflow"
    with (
        serving(fixture) as (serving_url, server),
        _app("tutorial_app", str(fixture.side), serving_url, fixture.model) as (root, pid),
    ):
        yield SystemUnderTest(
            name=f"the tutorial's way, in front of {behind}",
            url=f"{root}/imageclassifier/predict/",
            form="form",
            processes={"flask": pid, "model server": server},
        )


def require_genuine() -> str:
    """Return the path of tensorflow_model_server, or raise NotInstalled."""
    program = shutil.which(GENUINE)
    if program is None:
        raise NotInstalled(f"{GENUINE} is not installed")
    return program


@contextmanager
def genuine_server(fixture: Fixture) -> Iterator[tuple[str, str, int]]:
    """Run tensorflow_model_server; yield its root URL, its gRPC address and its PID."""
    program = require_genuine()
    port, grpc_port = free_port(), free_port()
    flags = {
        "port": grpc_port,
        "rest_api_port": port,
        "model_name": fixture.model,
        "model_base_path": fixture.base_path,
    }
    command = [f"--{name}={value}" for name, value in flags.items()]
    root = f"http://127.0.0.1:{port}"
    with running(command, f"{root}/v1/models/{fixture.model}/metadata", _QUIET, program) as process:
        yield root, f"grpc://127.0.0.1:{grpc_port}", process.pid


@contextmanager
def gateway_and_genuine(fixture: Fixture, protocol: str) -> Iterator[SystemUnderTest]:
    """Run the gateway in front of TensorFlow Serving, which it asks over REST or gRPC."""
    layout = Layout(precision="f32")
    with genuine_server(fixture) as (rest, grpc, server):
        address = rest if protocol == "REST" else grpc
        with gateway(fixture.model, address, layout) as (root, front):
            yield SystemUnderTest(
                name=f"gateway + genuine TF Serving, {protocol}",
                url=f"{root}/models/{fixture.model}/predict",
                processes={"gateway": front, "model server": server},
            )


@contextmanager
def genuine_alone(fixture: Fixture, form: str) -> Iterator[SystemUnderTest]:
    """Run TensorFlow Serving without a gateway."""
    with genuine_server(fixture) as (root, _, pid):
        yield SystemUnderTest(
            name=f"genuine TF Serving alone, asked with {form}",
            url=f"{root}/v1/models/{fixture.model}:predict",
            form=form,
            processes={"model server": pid},
        )


@contextmanager
def embedded_alone(fixture: Fixture, form: str) -> Iterator[SystemUnderTest]:
    """Run the embedded model server without a gateway."""
    layout = Layout()
    with model_server(fixture, layout) as (root, pid):
        yield SystemUnderTest(
            name=f"embedded server alone, {layout.name}, asked with {form}",
            url=f"{root}/v1/models/{fixture.model}:predict",
            form=form,
            processes={"model server": pid},
        )


#: The functions that start the other systems, by short name.
PEERS: dict[str, Callable[[Fixture], AbstractContextManager[SystemUnderTest]]] = {
    "litserve": litserve,
    "litserve, fast resize": partial(litserve, fast=True),
    "bentoml": bentoml,
    "flask + keras": flask_keras,
    "tutorial": tutorial,
    "gateway, genuine, REST": partial(gateway_and_genuine, protocol="REST"),
    "gateway, genuine, gRPC": partial(gateway_and_genuine, protocol="gRPC"),
    "genuine, pixels": partial(genuine_alone, form="pixels"),
    "genuine, floats": partial(genuine_alone, form="floats"),
    "embedded, pixels": partial(embedded_alone, form="pixels"),
}
GENUINE_ROWS = tuple(name for name in PEERS if "genuine" in name)


@contextmanager
def _genuine_rest(fixture: Fixture) -> Iterator[tuple[str, int]]:
    with genuine_server(fixture) as (root, _, pid):
        yield root, pid


def _embedded_tensorflow(fixture: Fixture) -> AbstractContextManager[tuple[str, int]]:
    return model_server(fixture, Layout(engine="tensorflow", precision="f32"))


@contextmanager
def _app(module: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """Run one of benchmarks/peers; yield its root URL and its PID."""
    port = free_port()
    command = ["-m", f"benchmarks.peers.{module}", str(port), *arguments]
    with _peer(command, port, "/health") as pid:
        yield f"http://127.0.0.1:{port}", pid


@contextmanager
def _peer(
    command: list[str], port: int, health: str, environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    url = f"http://127.0.0.1:{port}{health}"
    with running(command, url, _QUIET | dict(environ or {}), str(PYTHON)) as process:
        yield process.pid


def _require(module: str) -> None:
    """Raise NotInstalled unless the peers' environment has the module."""
    if not PYTHON.is_file():
        raise NotInstalled("there is no .venv-bench; make bench makes it")
    command = [str(PYTHON), "-c", f"import importlib.util as u; u.find_spec({module!r}) or 1 / 0"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotInstalled(f"{module} is not installed in .venv-bench")
