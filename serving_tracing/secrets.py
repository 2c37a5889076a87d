"""Keep passwords and header values of OpenTelemetry's variables out of the log.

OpenTelemetry's packages quote a header that they cannot read, and requests quotes an address or a
header that it refuses.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from serving_tracing.variables import ENDPOINTS

HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_HIDDEN: Final = "(not shown)"


def secrets(environ: Mapping[str, str]) -> list[str]:
    """Return the texts that no log may contain, the longest first."""
    found = set(_of_headers(environ)) | set(_of_addresses(environ))
    written = {form for text in found for form in (text, unquote(text), repr(unquote(text))[1:-1])}
    return sorted(filter(None, written), key=lambda text: (-len(text), text))


def _of_headers(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of headers; of text that is no header, all of it."""
    for name in HEADERS:
        for header in environ.get(name, "").split(","):
            yield header.partition("=")[2].strip() or header.strip()


def _of_addresses(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield user names with passwords, such as ``user:password`` of an address."""
    for name in ENDPOINTS:
        before, at, _ = environ.get(name, "").rpartition("@")
        if at:
            yield before.rpartition("//")[2]


class Redaction(logging.Filter):
    """Replaces the secrets in messages."""

    def __init__(self, hidden: Iterable[str]) -> None:
        super().__init__()
        self._hidden = tuple(hidden)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with a message without secrets."""
        message = record.getMessage()
        for secret in self._hidden:
            message = message.replace(secret, _HIDDEN)
        record.msg, record.args = message, None
        return True


def redact(package: str, environ: Mapping[str, str]) -> None:
    """Keep the secrets out of what the loggers of a package write, those that exist by now."""
    redaction = Redaction(secrets(environ))
    for name in list(logging.root.manager.loggerDict):
        if f"{name}.".startswith(f"{package}."):
            logging.getLogger(name).addFilter(redaction)
