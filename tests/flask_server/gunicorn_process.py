"""The gateway as a process: gunicorn with the project's own configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.running import ROOT, answers, free_port
from tests.waiting import PATIENCE_S, eventually


def start(
    port: int,
    environ: dict[str, str],
    stderr: int | IO[bytes] = subprocess.PIPE,
    prefix: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start gunicorn; ``prefix`` is a program that starts it, with the program's arguments."""
    command = [*prefix, sys.executable, "-m", "gunicorn", "-c", "flask_server/gunicorn.conf.py"]
    return subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}"],
        cwd=ROOT,
        env=os.environ | environ,
        stderr=stderr,
    )


def wait_until_open(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the gateway answers; fail if it has ended, or takes too long."""
    assert eventually(lambda: answers(f"{url}/healthz") or process.poll() is not None)
    assert process.poll() is None, f"gunicorn ended with code {process.poll()}"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End gunicorn; kill it if it does not end by itself, and fail then."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@contextmanager
def stopping(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End gunicorn at the end of the block, however that ends."""
    try:
        yield process
    finally:
        stop(process)


@contextmanager
def running_gateway(
    folder: Path, serving_url: str, *, prefix: Sequence[str] = (), **settings: str
) -> Iterator[str]:
    """Run one worker for the model ``toy`` of a Serving; give its URL.

    The log is a file: a pipe that nobody reads would stop the worker when it is full.
    """
    models = folder / "models.toml"
    models.write_text('[models.toy]\nbase_path = "toy"\n')
    port = free_port()
    environ = {
        "GATEWAY_SERVING_URL": serving_url,
        "GATEWAY_MODELS_FILE": str(models),
        "GATEWAY_WORKERS": "1",
    }
    url = f"http://127.0.0.1:{port}"
    with (
        (folder / "gateway.log").open("wb") as log,
        stopping(start(port, environ | settings, log, prefix)) as process,
    ):
        wait_until_open(url, process)
        yield url
