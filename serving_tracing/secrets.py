"""Keep passwords and header values of OpenTelemetry's variables out of the log.

OpenTelemetry's packages quote a header that they cannot read, and requests quotes an address or a
header that it refuses.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote

from serving_tracing.variables import ENDPOINTS

HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_HIDDEN: Final = "(not shown)"
#: Shorter values, such as a number of a tenant, occur in any text and are no secrets.
_SHORTEST: Final = 4


def secrets(environ: Mapping[str, str]) -> list[str]:
    """Return the texts of four or more characters that no log may contain, the longest first."""
    found = set(_of_headers(environ)) | set(_of_addresses(environ))
    written = {form for text in found for form in (text, unquote(text), repr(unquote(text))[1:-1])}
    long = [text for text in written if len(text) >= _SHORTEST]
    return sorted(long, key=lambda text: (-len(text), text))


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
    """Replaces the secrets in messages, and a traceback, which may quote them, by its error."""

    def __init__(self, hidden: Iterable[str]) -> None:
        super().__init__()
        self._hidden = re.compile("|".join(map(re.escape, hidden)) or "(?!)")

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with a message without secrets."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[0]:
            message = f"{message} ({record.exc_info[0].__name__})"
            record.exc_info = record.exc_text = None
        record.msg, record.args = self._hidden.sub(_HIDDEN, message), None
        return True


def redact(package: str, environ: Mapping[str, str]) -> None:
    """Keep the secrets out of what the loggers of a package write, those that exist by now."""
    redaction = Redaction(secrets(environ))
    for name in list(logging.root.manager.loggerDict):
        if f"{name}.".startswith(f"{package}."):
            logging.getLogger(name).addFilter(redaction)
