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
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def asking_variable(environ: Mapping[str, str]) -> str | None:
    """Return the variable that asks for traces, None if none does."""
    if environ.get(DISABLED, "").strip().lower() == "true":
        return None
    exporter = environ.get(EXPORTER, "").strip().lower()
    if exporter:
        return None if exporter == "none" else EXPORTER
    return next((name for name in ENDPOINTS if environ.get(name, "").strip()), None)
