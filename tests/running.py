"""Real servers for tests: a model server process, and a gateway in this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from flask.testing import FlaskClient

from flask_server.app import close_app, create_app
from flask_server.settings import Settings
from tests.workers import locked

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
START_S = 90


#: Below the ports that a system gives to sockets bound to port 0: from 32768 on Linux, from 49152
#: elsewhere. So nothing takes a port of these before the server that it was chosen for listens.
_PORTS = range(20_000, 32_000)
#: The last port that was given out, for all processes of this user that run tests.
_LAST_PORT = Path(gettempdir()) / f"last_test_port_{os.getuid()}"


def free_port() -> int:
    """Return a free TCP port; each one is given out once, then all of them again."""
    with locked(_LAST_PORT) as file:
        last = int(file.read() or _PORTS[-1])
        ports = (*range(last + 1, _PORTS.stop), *_PORTS)
        port: int = next(port for port in ports if _is_free(port))
        file.truncate(0)
        file.write(str(port))
    return port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def model_server(config: str, folder: Path, grpc_port: int | None = None) -> Iterator[str]:
    """Run ``python -m model_server`` for a model config; yield the URL of its REST API."""
    config_file, log_file = folder / "models.config", folder / "model_server.log"
    config_file.write_text(config)
    port = free_port()
    command = [sys.executable, "-m", "model_server"]
    command += [f"--rest_api_port={port}", f"--port={grpc_port or free_port()}"]
    command += [f"--model_config_file={config_file}", "--file_system_poll_wait_seconds=1"]
    with log_file.open("wb") as log, subprocess.Popen(command, cwd=ROOT, stderr=log) as process:
        try:
            wait_for_port(port, process, log_file)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def wait_for_port(port: int, process: subprocess.Popen[bytes], log_file: Path) -> None:
    """Return when the port is open; TensorFlow Serving opens it when its models are loaded."""
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the model server did not start:\n{log_file.read_text()[-3000:]}")


def model_config(models: Mapping[str, Path]) -> str:
    """Return the model config (text protobuf) for base paths by model name."""
    blocks = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}\n'
        for name, path in models.items()
    )
    return f"model_config_list {{ {blocks} }}"


def write_models_file(models: Mapping[str, Path | str] | str, folder: Path) -> Path:
    """Write the gateway's models file into a folder, and return its path.

    ``models`` are folders by name, or the text of the file.
    """
    file = folder / "models.toml"
    if not isinstance(models, str):
        tables = (f'[models.{name}]\nbase_path = "{path}"\n' for name, path in models.items())
        models = "".join(tables)
    file.write_text(models)
    return file


@contextmanager
def gateway(serving_url: str, models: Mapping[str, Path], folder: Path) -> Iterator[FlaskClient]:
    """Run the gateway in this process; it decodes JPEGs in full, as Keras does."""
    app = create_app(
        Settings(
            serving_url=serving_url,
            models_file=write_models_file(models, folder),
            fast_jpeg=False,
            deadline_s=60,
            poll_interval_s=0.2,
        )
    )
    try:
        yield app.test_client()
    finally:
        close_app(app)


@contextmanager
def both(models: Mapping[str, Path], folder: Path) -> Iterator[FlaskClient]:
    """Run the model server and the gateway in front of it."""
    with (
        model_server(model_config(models), folder) as url,
        gateway(url, models, folder) as client,
    ):
        yield client


def answers(url: str) -> bool:
    """Return whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return bool(response.status == 200)
    except OSError:
        return False
