"""A receiver for OTLP over HTTP in this process, and a real collector in front of it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from gzip import decompress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from model_server.transport.http_messages import Request, Response
from tests.model_server.harness import Client, http_server
from tests.running import free_port
from tests.waiting import eventually


def _rotel_program() -> Path | None:
    """Return the program of the package ``rotel``, which has one for Linux only."""
    found = find_spec("rotel") if sys.platform == "linux" else None
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("rotel-agent")


ROTEL = _rotel_program()
_PROTOBUF = (("Content-Type", "application/x-protobuf"),)


@dataclass(frozen=True)
class Received:
    """A span that has arrived, with the name of its service."""

    service: str
    span: Any


@dataclass
class Receiver:
    """Keeps the spans that are sent to it."""

    spans: list[Received] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, request: Request) -> Response:
        assert (request.method, request.path) == ("POST", "/v1/traces")
        packed = request.headers.get("content-encoding") == "gzip"
        body = decompress(request.body) if packed else request.body
        with self._lock:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return Response(200, ExportTraceServiceResponse().SerializeToString(), _PROTOBUF)

    def of(self, trace_id: str) -> list[Received]:
        with self._lock:
            return [found for found in self.spans if found.span.trace_id.hex() == trace_id]


def _spans(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource in request.resource_spans:
        attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(attributes["service.name"], span)


@contextmanager
def collector(folder: Path) -> Iterator[tuple[str, Receiver]]:
    """Yield the address of a collector, and the receiver that it sends its spans to."""
    receiver = Receiver()
    with (
        http_server(receiver.respond) as client,
        _rotel(client.port, folder / "collector.log") as port,
    ):
        yield f"http://127.0.0.1:{port}", receiver


@contextmanager
def receiver_alone(_: Path) -> Iterator[tuple[str, Receiver]]:
    """Yield the address of a receiver without a collector in front of it, and the receiver."""
    receiver = Receiver()
    with http_server(receiver.respond) as client:
        yield f"http://127.0.0.1:{client.port}", receiver


@contextmanager
def _rotel(sends_to: int, log_file: Path) -> Iterator[int]:
    assert ROTEL is not None
    port = free_port()
    command = [
        *(str(ROTEL), "start", "--exporter", "otlp", "--otlp-exporter-protocol", "http"),
        *("--otlp-exporter-endpoint", f"http://127.0.0.1:{sends_to}", "--batch-timeout", "50ms"),
        *("--otlp-http-endpoint", f"127.0.0.1:{port}"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"),
    ]
    with log_file.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            assert eventually(lambda: _is_open(port) or process.poll() is not None)
            assert process.poll() is None, log_file.read_text()
            yield port
        finally:
            process.terminate()
            process.wait(60)


def _is_open(port: int) -> bool:
    try:
        return Client(port).get("/").status > 0
    except OSError:
        return False
