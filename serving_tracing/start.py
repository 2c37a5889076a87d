"""Turn tracing on where the environment variables of OpenTelemetry ask for it.

If that fails, the server runs without traces, and a warning says why.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Mapping
from typing import Final

from model_catalog.installation import install_command, is_installed
from serving_tracing import spans
from serving_tracing.variables import asking_variable, uses_otlp_over_http

_SDK: Final = ("opentelemetry.sdk", "opentelemetry-sdk")
_OTLP: Final = (
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry-exporter-otlp-proto-http",
)
#: Seconds that the end of a process waits for the collector.
_STOP_S: Final = 3.0

logger = logging.getLogger(__name__)


def missing_package(environ: Mapping[str, str]) -> str | None:
    """Return the sentence for a package that is asked for and missing; imports nothing."""
    variable = asking_variable(environ)
    if variable is None:
        return None
    needed = (_SDK, _OTLP) if uses_otlp_over_http(environ) else (_SDK,)
    missing = [package for module, package in needed if not is_installed(module)]
    if not missing:
        return None
    return (
        f"{variable} is set, but {missing[0]} is not installed, so no traces are sent;"
        f" run {install_command('otel')}"
    )


def start(service: str, environ: Mapping[str, str], *, warns: bool = True) -> None:
    """Turn tracing on if the environment asks for it; ``service`` is the default service name.

    ``warns`` is false where another process has warned of a missing package.
    """
    if spans.active() is not None or asking_variable(environ) is None:
        return
    missing = missing_package(environ)
    if missing is not None:
        if warns:
            logger.warning("%s", missing)
        return
    try:
        # Imported here because the package is optional, and takes time and memory.
        from serving_tracing.sdk import provider
        from serving_tracing.tracing import Tracing

        spans.install(Tracing(provider(service, environ)))
        atexit.register(stop)
    except Exception as error:  # a wrong value of a variable, or an exporter that is not installed
        logger.warning("No traces are sent: %s", error)


def stop() -> None:
    """Send the last spans and turn tracing off; waits a few seconds at most."""
    tracing = spans.active()
    if tracing is None:
        return
    spans.install(None)
    # The exporter repeats calls that fail; a collector that is gone must not hold up the end.
    thread = threading.Thread(target=tracing.shutdown, name="end of tracing", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # since Python 3.12, an interpreter that ends starts no thread
        tracing.shutdown()
    else:
        thread.join(_STOP_S)
