"""Tracing with an exporter in memory, and both servers in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from model_server.engines.openvino_engine import OpenVINOEngine, OpenVINOOptions
from model_server.metrics import Metrics
from model_server.models.model_loader import ModelLoader
from model_server.models.registry import Registry, Servable, State
from model_server.rest.api import Rest, RestOptions
from serving_tracing import spans
from serving_tracing.tracing import Tracing
from tests.flask_server.conftest import make_app, serving
from tests.model_server.grpc_api.calls import grpc_server
from tests.model_server.harness import http_server
from tests.running import ROOT

__all__ = ["make_app", "serving"]  # fixtures of the gateway's tests

DIGIT = ROOT / "test_images" / "digit_7.png"


class Recorder:
    """The spans that have ended; with ``trace`` only those of one trace."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter
        self.trace: int | None = None

    @property
    def all(self) -> Sequence[ReadableSpan]:
        ended = self._exporter.get_finished_spans()
        return [s for s in ended if s.context and self.trace in (None, s.context.trace_id)]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    @property
    def tree(self) -> set[tuple[str | None, str]]:
        """The name of each span and that of its parent, None for one that was not made here."""
        names = {span.context.span_id: span.name for span in self.all if span.context}
        return {
            (names.get(span.parent.span_id) if span.parent else None, span.name)
            for span in self.all
        }


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.install(Tracing(provider))
    yield Recorder(exporter)
    spans.install(None)
    provider.shutdown()


@dataclass(frozen=True)
class ModelServer:
    """The embedded model server in this process."""

    rest: str
    grpc: str


@pytest.fixture(scope="module")
def model_server() -> Iterator[ModelServer]:
    """Serve the digits; the model is loaded while tracing is on."""
    pytest.importorskip("openvino", reason="the extra [openvino] is not installed")
    registry, metrics, servable = Registry(), Metrics(), Servable("digits", 1)
    loader = ModelLoader(engine=OpenVINOEngine(OpenVINOOptions(threads=1)), metrics=metrics)
    spans.install(Tracing(TracerProvider(shutdown_on_exit=False)))
    try:
        model = loader.load(version_folder())
    finally:
        spans.install(None)
    registry.add(servable)
    registry.set_state(servable, State.AVAILABLE, model=model)
    registry.set_labels({})
    with (
        http_server(Rest(registry, metrics, RestOptions()).respond) as rest,
        grpc_server(registry, metrics=metrics) as grpc,
    ):
        yield ModelServer(f"http://127.0.0.1:{rest.port}", f"grpc://{grpc.target}")
    model.close()


def version_folder() -> Path:
    return ROOT / "my_digit_classifier" / "1"
