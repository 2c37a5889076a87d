"""The gateway as a process: gunicorn with the project's own configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.running import ROOT, free_port


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


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=1):
            return True
    except OSError:
        return False


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
        start(port, environ | settings, log, prefix) as process,
    ):
        end = time.monotonic() + 20
        while not answers(url) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        try:
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
