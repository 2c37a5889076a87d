"""Configure OpenTelemetry's SDK, which reads most of its environment variables itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from model_catalog.version import VERSION
from serving_tracing.secrets import redact
from serving_tracing.variables import EXPORTER, HTTP, OTLP, exporters, otlp_protocol

_GROUP: Final = "opentelemetry_traces_exporter"
#: The names of the exporters for OTLP, by its protocols.
_OTLP: Final = {HTTP: "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_NAME: Final = "service.name"
_UNNAMED: Final = "unknown_service"


def provider(service: str, environ: Mapping[str, str]) -> TracerProvider:
    """Return a provider with the exporters that the environment names, or raise ValueError.

    ``service`` is the service name unless the environment has one.
    """
    # Without the exit handler of the SDK, which would wait for a collector that is gone.
    made = TracerProvider(resource=resource(service), shutdown_on_exit=False)
    # All exporters first: a processor starts a thread, which an error would leave behind.
    for exporter in [_exporter(name, environ) for name in exporters(environ)]:
        made.add_span_processor(BatchSpanProcessor(exporter))
    return made


def resource(service: str) -> Resource:
    """Return the resource of the environment, with the default service name if it has none."""
    given = Resource.create()
    own = {} if _is_named(given) else {_NAME: service}
    return Resource({"service.version": VERSION}).merge(given).merge(Resource(own))


def _is_named(given: Resource) -> bool:
    return not str(given.attributes[_NAME]).startswith(_UNNAMED)


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    wanted = _otlp(environ) if name == OTLP else name
    for found in entry_points(group=_GROUP, name=wanted):
        exporter = found.load()
        redact("opentelemetry", environ)  # the loggers exist now
        made: SpanExporter = exporter()
        return made
    raise ValueError(f"{EXPORTER} names {name}, and there is no package with the exporter {wanted}")


def _otlp(environ: Mapping[str, str]) -> str:
    protocol = otlp_protocol(environ)
    if protocol not in _OTLP:
        raise ValueError(f"the protocol is {protocol}; allowed are {', '.join(_OTLP)}")
    return _OTLP[protocol]
