"""Real servers for tests: in this process on a free port, or in a process of their own."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_server.byte_budget import ByteBudget
from model_server.transport.http_messages import Request, Response
from model_server.transport.http_server import HttpServer, serve
from model_server.transport.limits import Limits
from model_server.transport.request_threads import CostCheck
from tests.running import free_port
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SERVER = (sys.executable, "-m", "model_server")
TOY_SERVER = (sys.executable, "-m", "tests.model_server.toy")


#: Stands for the end of a connection.
EOF = b"<EOF>"
_SILENCE_S = 0.2


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass(frozen=True)
class Client:
    """Talks to a server on this machine, a new connection for every request."""

    port: int

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=200)
        try:
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            reply_headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, response.reason, reply_headers, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.call("GET", path)

    def predict(self, model: str, document: object) -> Reply:
        return self.call("POST", f"/v1/models/{model}:predict", json.dumps(document))

    def states(self, model: str) -> dict[int, str]:
        """Return the state of each version."""
        versions = self.get(f"/v1/models/{model}").json["model_version_status"]
        return {int(entry["version"]): entry["state"] for entry in versions}

    def raw(self, *pieces: bytes, until: Callable[[bytes], bool] = lambda received: False) -> bytes:
        """Send bytes as they are; return what comes back, ``<EOF>`` appended if it ends.

        Once a condition is true of what has come, nothing more is expected, and a silence is
        awaited; without one, the end.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)
            received = b""
            while not received.endswith(EOF):
                is_whole = until(received)
                connection.settimeout(_SILENCE_S if is_whole else 60)
                try:
                    received += connection.recv(65536) or EOF
                except ConnectionResetError:
                    received += EOF
                except TimeoutError:
                    assert is_whole, received
                    break
            return received


@contextmanager
def http_server(
    answer: Callable[[Request], Response],
    threads: int = 8,
    *,
    limits: Limits | None = None,
    budget: ByteBudget | None = None,
    is_costly: CostCheck = lambda _: False,
) -> Iterator[Client]:
    """Serve a function over HTTP in this process."""
    server = HttpServer(
        *("127.0.0.1", 0, answer),
        threads=threads,
        limits=limits,
        budget=budget,
        is_costly=is_costly,
    )
    thread = serve(server)
    try:
        yield Client(server.port)
    finally:
        server.drain(5)
        thread.join(60)


class Process:
    """A server in a process of its own."""

    def __init__(
        self,
        command: tuple[str, ...],
        log: Path,
        flags: tuple[str, ...],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        self.client = Client(self.port)
        self.log = log
        ports = (f"--rest_api_port={self.port}", f"--port={self.grpc_port}")
        arguments = [*command, *ports, *flags]
        with log.open("w") as output:
            self.child = subprocess.Popen(
                arguments, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=env
            )

    @property
    def is_open(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def has_said_so(self) -> bool:
        """Tell whether the server itself has opened the port: another one may listen there."""
        return "Exporting HTTP/REST API at" in self.log.read_text()

    def wait_until_open(self, seconds: float = 60.0) -> None:
        assert eventually(lambda: self.has_said_so or self.child.poll() is not None, seconds)
        assert self.child.poll() is None, self.log.read_text()

    def stop(self) -> int:
        """Ask the server to stop, and return its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise


@contextmanager
def server_process(
    command: tuple[str, ...],
    log: Path,
    *flags: str,
    opens: bool = True,
    env: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Run a server process until the block ends."""
    process = Process(command, log, flags, env)
    try:
        if opens:
            process.wait_until_open()
        yield process
    finally:
        process.stop()


@contextmanager
def in_threads(count: int, work: Callable[[int], None]) -> Iterator[None]:
    """Run ``work(0)`` to ``work(count - 1)`` at the same time as the block."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(60)
