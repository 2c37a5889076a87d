"""HAProxy with the configuration of ``deploy/haproxy``, and the servers behind it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.running import ROOT, free_port, model_config
from tests.waiting import eventually

CONFIG = ROOT / "deploy" / "haproxy" / "haproxy.cfg"

#: Lines that need root and the user of the package.
_OF_THE_SYSTEM = re.compile(r"^    (user|group|chroot) .*\n", re.MULTILINE)


class Process:
    """A server that can be ended and started again on its address."""

    def __init__(self, command: list[str], folder: Path, ready: str, **environ: str) -> None:
        self._command = command
        self._environ = environ
        self._ready = ready
        self._log = folder / f"{ready.partition('//')[2].replace('/', '_')}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=ROOT, env=os.environ | self._environ, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        is_ready = eventually(
            lambda: status_of(self._ready) == 200 or self.process.poll() is not None
        )
        assert is_ready, self._log.read_text()[-2000:]
        assert self.process.poll() is None, self._log.read_text()[-2000:]

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def restart(self) -> None:
        self.end()
        self.process = self._start()
        self.wait_until_ready()


def status_of(url: str) -> int | None:
    """Return the status that a GET is answered with; None without an answer."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def model_server(address: str, models: Mapping[str, Path], folder: Path) -> Process:
    """Start an embedded model server on ``host:port``."""
    host, _, port = address.partition(":")
    config = folder / "models.config"
    config.write_text(model_config(models))
    command = [
        sys.executable,
        "-m",
        "model_server",
        f"--model_config_file={config}",
        f"--port={free_port()}",
    ]
    command += [f"--rest_api_host={host}", f"--rest_api_port={port}"]
    return Process(command, folder, f"http://{address}/v1/models/{next(iter(models))}")


def gateway(address: str, folder: Path, **settings: str) -> Process:
    """Start gunicorn with one worker on ``host:port``."""
    command = [sys.executable, "-m", "gunicorn", "-c", "flask_server/gunicorn.conf.py"]
    environ = {"GATEWAY_WORKERS": "1"} | settings
    return Process([*command, "--bind", address], folder, f"http://{address}/readyz", **environ)


class HAProxy:
    """HAProxy in the foreground, and the commands of its socket."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._socket = str(folder / "admin.sock")

    def command(self, text: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._socket)
            connection.sendall(f"{text}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def servers(self, backend: str) -> dict[str, tuple[str, int, int]]:
        """Return status, requests in flight and answers of each server of a backend."""
        head, *lines = self.command("show stat").strip().splitlines()
        names = head.removeprefix("# ").split(",")
        rows = [dict(zip(names, line.split(","), strict=False)) for line in lines]
        return {
            row["svname"]: (row["status"], int(row["scur"]), int(row["hrsp_2xx"] or 0))
            for row in rows
            if row["pxname"] == backend and row["svname"] not in ("BACKEND", "FRONTEND")
        }

    def wait_until(self, backend: str, server: str, status: str) -> None:
        has_it = eventually(lambda: self.servers(backend)[server][0].startswith(status))
        assert has_it, self.servers(backend)

    def drain(self, backend: str, server: str) -> None:
        """Send the server no new requests, and wait for those that it has."""
        self.command(f"set server {backend}/{server} state drain")
        is_idle = eventually(lambda: not self.servers(backend)[server][1])
        assert is_idle, self.servers(backend)

    def undrain(self, backend: str, server: str) -> None:
        self.command(f"set server {backend}/{server} state ready")
        self.wait_until(backend, server, "UP")


def written_config(folder: Path, addresses: Mapping[str, str]) -> Path:
    """Write the configuration with other addresses, and without what needs root."""
    text = _OF_THE_SYSTEM.sub("", CONFIG.read_text())
    for before, after in {"/run/haproxy": str(folder), **addresses}.items():
        assert before in text
        text = text.replace(before, after)
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return path


def fault(config: Path) -> str:
    """Return the warnings and errors of HAProxy for a configuration."""
    found = subprocess.run(
        ["haproxy", "-c", "-f", str(config)], capture_output=True, text=True, timeout=60
    )
    lines = [line for line in found.stderr.splitlines() if not line.startswith("[NOTICE]")]
    return "\n".join(lines)


@contextmanager
def running(folder: Path, addresses: Mapping[str, str]) -> Iterator[HAProxy]:
    config = written_config(folder, addresses)
    with subprocess.Popen(["haproxy", "-db", "-f", str(config)]) as process:
        try:
            assert eventually((folder / "admin.sock").exists), "HAProxy has not opened its socket"
            yield HAProxy(process, folder)
        finally:
            process.terminate()
            process.wait(60)
