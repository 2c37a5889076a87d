"""Read the environment variables that turn tracing on or choose the exporter.

OpenTelemetry's SDK reads its other variables itself (sampler, limits, resource, batches,
propagators), and so does the exporter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DISABLED: Final = "OTEL_SDK_DISABLED"
EXPORTER: Final = "OTEL_TRACES_EXPORTER"
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
OTLP: Final = "otlp"
HTTP: Final = "http/protobuf"
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def asking_variable(environ: Mapping[str, str]) -> str | None:
    """Return the variable that asks for traces, None if none does."""
    if environ.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environ.get(EXPORTER, "").strip().lower()
    if exporter:
        return None if exporter == "none" else EXPORTER
    return next((name for name in ENDPOINTS if environ.get(name, "").strip()), None)


def exporters(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the exporters."""
    names = environ.get(EXPORTER, "").strip() or OTLP
    return [name.strip().lower() for name in names.split(",")]


def otlp_protocol(environ: Mapping[str, str]) -> str:
    """Return the protocol of the exporter ``otlp``."""
    return next(filter(None, (environ.get(name) for name in PROTOCOLS)), HTTP)


def uses_otlp_over_http(environ: Mapping[str, str]) -> bool:
    """Tell whether an exporter is ``otlp`` over HTTP."""
    return OTLP in exporters(environ) and otlp_protocol(environ) == HTTP
